/**
 * Every refusal of this module. `code` is for a `switch`, `step` says what was being done, `errno` is the
 * kernel's or libbpf's name for it; a refused program brings the verifier's log.
 */
export type BpfErrorCode =
  | "BPF_ADDON_MISSING"
  | "BPF_ATTACH_FAILED"
  | "BPF_BAD_INPUT"
  | "BPF_BUSY"
  | "BPF_CLOSED"
  | "BPF_DETACH_FAILED"
  | "BPF_FAILED"
  | "BPF_LOAD_FAILED"
  | "BPF_MAP_FAILED"
  | "BPF_MAP_FULL"
  | "BPF_NETLINK_FAILED"
  | "BPF_NOT_FOUND"
  | "BPF_NOT_LOADED"
  | "BPF_NO_PERMISSION"
  | "BPF_OPEN_FAILED"
  | "BPF_PIN_FAILED"
  | "BPF_RING_FAILED"
  | "BPF_UNSUPPORTED"
  | "BPF_VERIFIER_REFUSED";

export interface BpfErrorFields {
  code: BpfErrorCode;
  step: string;
  errno?: string;
  verifierLog?: string;
  program?: string;
}

export class BpfError extends Error {
  override readonly name = "BpfError";
  readonly code: BpfErrorCode;
  readonly step: string;
  readonly errno?: string;
  /** The whole log, as long as the verifier made it. */
  readonly verifierLog?: string;
  /** The program that was refused. */
  readonly program?: string;

  constructor(message: string, fields: BpfErrorFields) {
    const reason = fields.verifierLog === undefined ? undefined : verifierReason(fields.verifierLog);
    super(reason === undefined ? message : `${message}: ${reason}`);
    this.code = fields.code;
    this.step = fields.step;
    if (fields.errno !== undefined) this.errno = fields.errno;
    if (fields.verifierLog !== undefined) this.verifierLog = fields.verifierLog;
    if (fields.program !== undefined) this.program = fields.program;
  }

  /** The last lines of the verifier log, where the reason is; empty without one. */
  lastLines(count: number): string[] {
    return logLines(this.verifierLog ?? "").slice(-count);
  }
}

const logLines = (log: string): string[] => log.split("\n").filter(line => line.trim() !== "");

/** The verifier ends with statistics; the line before them is the complaint. */
function verifierReason(log: string): string | undefined {
  const lines = logLines(log);
  return lines.findLast(line => !/^(processed|verification time|stack depth) /.test(line));
}
