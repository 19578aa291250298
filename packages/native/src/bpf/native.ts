import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { BpfError } from "./errors.ts";

/*
 * The addon's own surface (src/bpf/addon/*.cc), typed. Only the classes beside this file use it.
 */

export interface NativeObject {
  programs(): { name: string; section: string; type: string; autoload: boolean }[];
  maps(): {
    name: string;
    type: string;
    keySize: number;
    valueSize: number;
    maxEntries: number;
    internal: boolean;
  }[];
  setAutoload(program: string, autoload: boolean): void;
  setMaxEntries(map: string, entries: number): void;
  reuseMap(map: string, fd: number): void;
  initialValue(map: string): Buffer;
  setInitialValue(map: string, value: Uint8Array): void;
  btf(): Buffer | undefined;
  load(): void;
  loadAsync(): Promise<void>;
  program(name: string): NativeProgram;
  map(name: string): NativeMap;
  close(): void;
}

export interface ProgramInfo {
  id: number;
  type: string;
  name: string;
  tag: string;
  verifiedInstructions: number;
  translatedBytes: number;
  jitedBytes: number;
  loadTimeNs: bigint;
  /** Only counted while `enableRunTimeStats` is on. */
  runTimeNs: bigint;
  runCount: bigint;
  recursionMisses: bigint;
}

export interface TestRunOptions {
  data?: Uint8Array;
  context?: Uint8Array;
  repeat?: number;
  dataOutBytes?: number;
  flags?: number;
}

export interface NativeProgram {
  name(): string;
  fd(): number;
  info(): ProgramInfo;
  pin(path: string): void;
  attach(): NativeLink;
  attachCgroup(path: string): NativeLink;
  attachIter(options: { mapFd?: number; pid?: number; tid?: number }): NativeLink;
  attachSockmap(mapFd: number): NativeLink;
  attachUprobe(options: {
    path: string;
    symbol?: string;
    offset?: number;
    retprobe?: boolean;
    pid?: number;
    cookie?: bigint;
  }): NativeLink;
  testRun(options: TestRunOptions): { returned: number; durationNs: number; data?: Buffer };
  close(): void;
}

export interface MapInfo {
  id: number;
  type: string;
  name: string;
  keySize: number;
  valueSize: number;
  /** As user space sees a value: for a per-CPU map all CPUs' values, each padded to 8 bytes. */
  valueBytes: number;
  maxEntries: number;
  flags: number;
  perCpu: boolean;
}

export interface NativeMap {
  fd(): number;
  info(): MapInfo;
  lookup(key: Uint8Array): Buffer | undefined;
  update(key: Uint8Array, value: Uint8Array, flags: number): void;
  delete(key: Uint8Array): boolean;
  take(key: Uint8Array): Buffer | undefined;
  readChunk(
    cursor: Buffer | undefined,
    count: number,
  ): { keys: Buffer; values: Buffer; count: number; cursor?: Buffer };
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number, flags: number): void;
  deleteBatch(keys: Uint8Array, count: number): number;
  freeze(): void;
  pin(path: string): void;
  close(): void;
}

export interface LinkInfo {
  type: string;
  id?: number;
  programId?: number;
  pinPath?: string;
}

export interface NativeLink {
  close(): void;
  release(): void;
  detach(): void;
  pin(path: string): void;
  unpin(): void;
  update(programFd: number): void;
  info(): LinkInfo;
  readIter(): Buffer;
  isOpen(): boolean;
}

export interface RingStats {
  /** Delivered or waiting in a buffer. */
  events: number;
  bytes: number;
  batches: number;
  /** Reserved by a program, then discarded. */
  discarded: number;
  /** Larger than a batch buffer, so not delivered. */
  oversized: number;
  /** How often the reader stood still because JavaScript held every buffer. */
  stalls: number;
  wakeups: number;
  batchesInFlight: number;
  ringBytes: number;
  ringBytesWaiting: number;
}

export interface NativeRing {
  take(): [index: number, count: number, bytes: number] | undefined;
  recycle(index: number, memory: ArrayBuffer): void;
  finish(): void;
  drained(): boolean;
  stats(): RingStats;
  destroy(): void;
  setKeepAlive(keep: boolean): void;
}

export interface Native {
  setErrorClass(error: typeof BpfError): void;
  Object: new (bytes: Uint8Array, name: string, pinRoot: string | undefined) => NativeObject;
  Ring: new (mapFd: number, pool: ArrayBuffer[], recordsMax: number, onReady: () => void) => NativeRing;
  createMap(options: {
    name: string;
    type: number;
    keySize: number;
    valueSize: number;
    maxEntries: number;
    flags: number;
    innerMapFd?: number;
  }): NativeMap;
  openPinnedMap(path: string): NativeMap;
  openPinnedProgram(path: string): NativeProgram;
  openPinnedLink(path: string): NativeLink;
  possibleCpus(): number;
  enableRunTimeStats(): number;
  /** The probes answer with an errno's name, "" for yes, "cannot-ask". */
  probeProgramType(name: string): string;
  probeMapType(type: number): string;
  probeHelper(programType: string, helper: string): string;
  probeAttach(kind: string): string;
  sockDiag(request: Uint8Array, netns: string | undefined): Buffer;
  waitingBytes(fd: number): number;
  replaceProcess(path: string, args: string[], env: string[]): never;
}

// The same two steps up from src/bpf and from dist/bpf.
const addonPath = fileURLToPath(new URL("../../build/Release/picket_bpf.node", import.meta.url));

function load(): Native {
  try {
    const addon = createRequire(import.meta.url)(addonPath) as Native;
    addon.setErrorClass(BpfError);
    return addon;
  } catch (cause) {
    const why =
      (cause as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND" ? "it is not built" : String(cause);
    throw new BpfError(
      `the native addon ${addonPath} cannot be loaded (${why}): install libbpf1 and run "npm run build"`,
      { code: "BPF_ADDON_MISSING", step: "open" },
    );
  }
}

export const native = load();
