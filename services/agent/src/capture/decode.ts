/** From a ring batch to kernel events: the generated views read in place, the numbers of event.h become names. */
import type { RingBatch } from "@picket/native/bpf";
import {
  ABI,
  ConnectionEventView,
  type EndpointsView,
  EventHeaderView,
  EventKind,
  HeldFlag,
  type HeldView,
  LoginEventView,
  NO_RULE,
  type ProcessView,
  Protocol,
  StatementEventView,
} from "@picket/native/events";
import type { Endpoints } from "@picket/shared/detection";
import type { Action, Dialect, Guarantee, Verdict, WorkloadMode } from "@picket/shared/vocabulary";
import { addressText } from "../connections/addresses.ts";
import type { Notice } from "../connections/guarantee.ts";
import type {
  ConnectionEvent,
  ConnectionReason,
  KernelEvent,
  KernelProcess,
  LoginEvent,
  StatementFragment,
} from "./kernel-event.ts";
import type { SequenceTracker } from "./sequence.ts";

// By number, in the order of event.h.
const ACTIONS: readonly Action[] = ["observe", "alert", "block"];
const VERDICTS: readonly (Verdict | "unknown")[] = ["unknown", "benign", "attack", "probe"];
const GUARANTEES: readonly Guarantee[] = ["observed", "prevented", "severed", "unseen"];
const MODES: readonly WorkloadMode[] = ["off", "observe", "enforce", "enforce"];
const MESSAGES = [undefined, "query", "prepare", "function-call"] as const;
const REASONS: readonly (ConnectionReason | undefined)[] = [
  undefined,
  "established",
  "closed",
  "retransmit",
  "recognised",
  "adopted",
  "refused",
  "killed",
];
const NOTICES: readonly Notice[] = [
  "none",
  "not-a-database",
  "encrypted",
  "compressed",
  "replication",
  "cancel",
  "framing-lost",
];
const TCP_SYN_SENT = 2;

export class EventDecoder {
  readonly #sequence: SequenceTracker;
  readonly #empty = new DataView(new ArrayBuffer(0));
  readonly #header = new EventHeaderView(this.#empty);
  readonly #statement = new StatementEventView(this.#empty);
  readonly #connection = new ConnectionEventView(this.#empty);
  readonly #login = new LoginEventView(this.#empty);
  readonly #addresses = new Map<string, string>();
  /** Events that this agent cannot read or handle: another ABI, another kind, a mistake of its own. */
  unreadable = 0;

  constructor(sequence: SequenceTracker) {
    this.#sequence = sequence;
  }

  *decode(batch: RingBatch): Generator<KernelEvent> {
    const { bytes, offsets, count } = batch;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let index = 0; index < count; index++) {
      const at = offsets[index]!;
      const header = this.#header.moveTo(view, at);
      this.#sequence.feed(header.cpu, header.seq);
      if (header.abi !== ABI) this.unreadable += 1;
      else if (header.kind === EventKind.STATEMENT) yield this.#decodeStatement(bytes, view, at);
      else if (header.kind === EventKind.CONNECTION) yield this.#decodeConnection(view, at);
      else if (header.kind === EventKind.LOGIN) yield this.#decodeLogin(view, at);
      else this.unreadable += 1;
    }
  }

  #decodeStatement(bytes: Buffer, view: DataView, at: number): StatementFragment {
    const event = this.#statement.moveTo(view, at);
    const textAt = at + StatementEventView.size;
    return {
      ...this.#factsOf(event),
      first: event.first,
      last: event.last,
      text: bytes.subarray(textAt, textAt + event.textBytes),
      textOffset: event.textOffset,
      statementBytes: event.statementBytes,
      verdict: VERDICTS[event.verdict] ?? "unknown",
      action: ACTIONS[event.action] ?? "observe",
      guarantee: GUARANTEES[event.guarantee] ?? "observed",
      rule: event.rule === NO_RULE ? null : event.rule,
      substituted: event.substituted,
      adopted: event.adopted,
      sampled: event.sampled,
    };
  }

  /** A held statement's header tells what the ring would have told of its last fragment. `text` is not copied. */
  held(event: HeldView, text: Buffer): StatementFragment {
    return {
      ...this.#factsOf(event),
      first: event.fragment === 0,
      last: true,
      text,
      textOffset: event.textOffset,
      // What went by unseen is in no fragment: the statement is never whole.
      statementBytes: event.flags & HeldFlag.TORN ? 0 : event.statementBytes,
      verdict: "unknown",
      action: "observe",
      guarantee: "observed",
      rule: null,
      substituted: false,
      adopted: event.adopted !== 0,
      sampled: false,
    };
  }

  /** What the ring and the keeper tell alike. */
  #factsOf(event: StatementEventView | HeldView) {
    return {
      kind: "statement",
      cookie: event.cookie,
      statement: event.statement,
      fingerprint: event.fingerprint,
      scope: event.scope,
      incident: event.incident,
      process: processOf(event.process),
      endpoints: this.#endpointsOf(event.endpoints),
      workload: event.workload,
      version: event.version,
      slot: event.slot,
      dialect: event.protocol === Protocol.POSTGRESQL ? "pg" : "mysql",
      message: MESSAGES[event.message] ?? "query",
      danger: event.danger,
      session: event.session,
      fragment: event.fragment,
    } as const;
  }

  #decodeConnection(view: DataView, at: number): ConnectionEvent {
    const event = this.#connection.moveTo(view, at);
    const reason = REASONS[event.reason] ?? "established";
    return {
      kind: "connection",
      cookie: event.cookie,
      reason,
      notice: NOTICES[event.notice] ?? "none",
      process: processOf(event.process),
      endpoints: this.#endpointsOf(event.endpoints),
      dialect: dialectOf(event.protocol),
      encrypted: event.protocol === Protocol.TLS,
      connectFailed: reason === "closed" && event.oldState === TCP_SYN_SENT,
      adopted: event.adopted,
      enrolled: event.enrolled,
      mode: MODES[event.workloadMode] ?? "observe",
      workload: event.workload,
      statements: Number(event.statements),
    };
  }

  #decodeLogin(view: DataView, at: number): LoginEvent {
    const event = this.#login.moveTo(view, at);
    return {
      kind: "login",
      cookie: event.cookie,
      user: event.user.text,
      database: event.database.bytes > 0 ? event.database.text : null,
    };
  }

  #endpointsOf(endpoints: EndpointsView): Endpoints {
    return {
      localAddress: this.#text(endpoints.localAddr),
      localPort: endpoints.localPort,
      remoteAddress: this.#text(endpoints.remoteAddr),
      remotePort: endpoints.remotePort,
    };
  }

  /** A host speaks to few databases: their addresses are written out once. */
  #text(bytes: Uint8Array): string {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    let text = this.#addresses.get(key);
    if (text === undefined) {
      if (this.#addresses.size >= 1_024) this.#addresses.clear();
      text = addressText(bytes);
      this.#addresses.set(key, text);
    }
    return text;
  }
}

function processOf(process: ProcessView): KernelProcess {
  return {
    pid: process.tgid,
    tid: process.tid,
    comm: process.comm,
    cgroupId: process.cgroupId,
    startNs: process.startNs,
  };
}

function dialectOf(protocol: number): Dialect | null {
  if (protocol === Protocol.MYSQL) return "mysql";
  return protocol === Protocol.POSTGRESQL ? "pg" : null;
}
