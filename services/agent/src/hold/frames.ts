/**
 * What is said between the agent and its keeper (packages/bpf/src/event.h, enum picket_keeper_kind): frames of a
 * header and a payload over a stream, little-endian as the machine is. Pure: bytes in, messages out.
 */
import {
  Answer,
  Consult,
  KeeperAnswer,
  KeeperFrame,
  KeeperHeldView,
  type KeeperHello,
  KeeperHelloView,
  KeeperKind,
  KeeperPolicy,
  KeeperResultView,
  KeeperRule,
  KeeperRules,
  type KeeperStats,
  KeeperStatsView,
  KeeperWorkload,
  Action as KernelAction,
  OnFailure,
} from "@picket/native/events";
import type { Action } from "@picket/shared/vocabulary";

/** What the keeper runs for one version: the compiled table, and what each of its rules asks for. */
export type KeeperTable = {
  table: Uint32Array;
  rules: readonly { id: string; action: Action }[];
};

export type Consulting = "never" | "grey" | "always";

/** How statements of a workload are judged while they are held. */
export type HoldPolicy = {
  deadlineMs: number;
  consult: Consulting;
  onFailure: "open" | "closed";
};

export type KeeperMessage =
  | { kind: "hello"; hello: KeeperHello }
  /** A view into the chunk that was read: valid until the next one. */
  | { kind: "held"; held: KeeperHeldView }
  | { kind: "result"; result: KeeperResultView }
  | { kind: "stats"; stats: KeeperStats };

const FRAME_BYTES_MAX = 64 << 20;
/** A SQL error names the rule; longer names are cut (replace.h). */
const RULE_TEXT_BYTES = 30;

const ACTIONS: Record<Action, KernelAction> = {
  observe: KernelAction.OBSERVE,
  alert: KernelAction.ALERT,
  block: KernelAction.BLOCK,
};
const CONSULTS: Record<Consulting, Consult> = {
  never: Consult.NEVER,
  grey: Consult.GREY,
  always: Consult.ALWAYS,
};
const FAILURES = { open: OnFailure.OPEN, closed: OnFailure.CLOSED } as const;

export function rulesFrame(version: number, { table, rules }: KeeperTable): Buffer {
  const bytes = Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  return frame(KeeperKind.RULES, [
    KeeperRules.encode({ version, tableBytes: bytes.length, rules: rules.length }),
    bytes,
    ...rules.map(({ id, action }) => KeeperRule.encode({ action: ACTIONS[action], text: textOf(id) })),
  ]);
}

export function dropRulesFrame(version: number): Buffer {
  return frame(KeeperKind.DROP_RULES, [KeeperRules.encode({ version, tableBytes: 0, rules: 0 })]);
}

export function policyFrame(input: {
  all: HoldPolicy;
  stepsMax: number;
  failMask: number;
  bytesMax: number;
  workloads: readonly { id: number; policy: HoldPolicy }[];
}): Buffer {
  return frame(KeeperKind.POLICY, [
    KeeperPolicy.encode({
      deadlineNs: BigInt(Math.round(input.all.deadlineMs * 1e6)),
      stepsMax: BigInt(input.stepsMax),
      failMask: input.failMask,
      bytesMax: BigInt(input.bytesMax),
      workloads: input.workloads.length,
      consult: CONSULTS[input.all.consult],
      onFailure: FAILURES[input.all.onFailure],
    }),
    ...input.workloads.map(({ id, policy }) =>
      KeeperWorkload.encode({ id, consult: CONSULTS[policy.consult], onFailure: FAILURES[policy.onFailure] }),
    ),
  ]);
}

/** `deny` names the rule that the client reads; null releases. */
export function answerFrame(hold: bigint, deny: string | null): Buffer {
  return frame(KeeperKind.ANSWER, [
    KeeperAnswer.encode({
      hold,
      answer: deny === null ? Answer.RELEASE : Answer.DENY,
      text: textOf(deny ?? ""),
    }),
  ]);
}

export const retireFrame = (): Buffer => frame(KeeperKind.RETIRE, []);

function textOf(id: string): { bytes: number; text: string } {
  const text = id.slice(0, RULE_TEXT_BYTES);
  return { bytes: Buffer.byteLength(text), text };
}

function frame(kind: KeeperKind, parts: readonly Uint8Array[]): Buffer {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([KeeperFrame.encode({ bytes, kind }), ...parts]);
}

/** Puts frames together from chunks. Throws where the stream is none of ours: the connection is useless then. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *feed(chunk: Buffer): Generator<KeeperMessage> {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    for (;;) {
      if (bytes.length < KeeperFrame.size) break;
      const { bytes: payload, kind } = KeeperFrame.decode(bytes);
      if (payload > FRAME_BYTES_MAX) throw new Error(`a frame of ${payload} bytes from the keeper`);
      const end = KeeperFrame.size + payload;
      if (bytes.length < end) break;
      // Structs are read in place, and a view of 64-bit numbers needs no alignment.
      yield read(kind, bytes.subarray(KeeperFrame.size, end));
      bytes = bytes.subarray(end);
    }
    // A copy: what is left must outlive the chunk.
    this.#rest = Buffer.from(bytes);
  }
}

function read(kind: number, payload: Buffer): KeeperMessage {
  switch (kind) {
    case KeeperKind.HELLO:
      return { kind: "hello", hello: KeeperHelloView.of(payload).copy() };
    case KeeperKind.HELD:
      return { kind: "held", held: KeeperHeldView.of(payload) };
    case KeeperKind.RESULT:
      return { kind: "result", result: KeeperResultView.of(payload) };
    case KeeperKind.STATS:
      return { kind: "stats", stats: KeeperStatsView.of(payload).copy() };
    default:
      throw new Error(`a frame of unknown kind ${kind} from the keeper`);
  }
}
