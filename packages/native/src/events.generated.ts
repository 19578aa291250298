/*
 * Made by `npm run generate` from packages/bpf/src/event.h through its BTF. Do not edit.
 *
 * A view reads one struct in place, at `at`, and is moved with `moveTo`: in the hot path one view serves a
 * whole batch. What it returns as bytes are views as well; `copy()` takes everything out.
 */

import type { Codec } from "./bpf/codec.ts";

export const ABI = 5;
export const TEXT_MAX = 16384;
export const NO_RULE = 4294967295;
export const LATENCY_BUCKETS = 24;
export const JUDGES_MAX = 16;

/** enum picket_event_kind */
export const EventKind = {
  STATEMENT: 1,
  CONNECTION: 2,
  LOGIN: 3,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** enum picket_protocol */
export const Protocol = {
  UNKNOWN: 0,
  MYSQL: 1,
  POSTGRESQL: 2,
  TLS: 3,
  OTHER: 4,
} as const;
export type Protocol = (typeof Protocol)[keyof typeof Protocol];

/** enum picket_message */
export const Message = {
  QUERY: 1,
  PREPARE: 2,
  FUNCTION_CALL: 3,
} as const;
export type Message = (typeof Message)[keyof typeof Message];

/** enum picket_action */
export const Action = {
  OBSERVE: 0,
  ALERT: 1,
  BLOCK: 2,
} as const;
export type Action = (typeof Action)[keyof typeof Action];

/** enum picket_verdict */
export const Verdict = {
  UNKNOWN: 0,
  BENIGN: 1,
  ATTACK: 2,
  PROBE: 3,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** enum picket_guarantee */
export const Guarantee = {
  OBSERVED: 0,
  PREVENTED: 1,
  SEVERED: 2,
  UNSEEN: 3,
} as const;
export type Guarantee = (typeof Guarantee)[keyof typeof Guarantee];

/** enum picket_workload_mode */
export const WorkloadMode = {
  OFF: 0,
  OBSERVE: 1,
  ENFORCE: 2,
  ENFORCE_KNOWN: 3,
} as const;
export type WorkloadMode = (typeof WorkloadMode)[keyof typeof WorkloadMode];

/** enum picket_sockets */
export const Sockets = {
  KEPT: 0,
  PLAIN: 1,
} as const;
export type Sockets = (typeof Sockets)[keyof typeof Sockets];

/** enum picket_loss */
export const Loss = {
  RING_FULL: 0,
  STORAGE_FULL: 1,
  SOCKHASH_FULL: 2,
  SOCKHASH_BUSY: 3,
  SOCKHASH_REFUSED: 4,
  EMPTY_SLOT: 5,
  PULL_FAILED: 6,
  SUBSTITUTE_FAILED: 7,
  FRAME_UNKNOWN: 8,
  TEXT_CUT: 9,
  BYTES_UNSEEN: 10,
  REPORT_LIMITED: 11,
  REFUSED_MPTCP: 12,
  REFUSED_ULP: 13,
  HOLD_ABSENT: 14,
  HOLD_BOUND: 15,
  HOLD_FAILED: 16,
  HOLD_OVERRUN: 17,
  RELEASE_FAILED: 18,
  HOLD_FULL: 19,
  HOLD_CLOSED: 20,
  KINDS: 21,
} as const;
export type Loss = (typeof Loss)[keyof typeof Loss];

/** enum picket_connection_reason */
export const ConnectionReason = {
  ESTABLISHED: 1,
  CLOSED: 2,
  RETRANSMIT: 3,
  RECOGNISED: 4,
  ADOPTED: 5,
  REFUSED: 6,
  KILLED: 7,
} as const;
export type ConnectionReason = (typeof ConnectionReason)[keyof typeof ConnectionReason];

/** enum picket_notice */
export const Notice = {
  NONE: 0,
  NOT_A_DATABASE: 1,
  ENCRYPTED: 2,
  COMPRESSED: 3,
  REPLICATION: 4,
  CANCEL: 5,
  FRAMING_LOST: 6,
} as const;
export type Notice = (typeof Notice)[keyof typeof Notice];

/** enum picket_on_failure */
export const OnFailure = {
  OPEN: 0,
  CLOSED: 1,
} as const;
export type OnFailure = (typeof OnFailure)[keyof typeof OnFailure];

/** enum picket_held_flag */
export const HeldFlag = {
  JUDGE: 1,
  REPLACED: 2,
  TAIL: 4,
  TORN: 8,
} as const;
export type HeldFlag = (typeof HeldFlag)[keyof typeof HeldFlag];

/** enum picket_hold_flag */
export const HoldFlag = {
  KILLED: 1,
} as const;
export type HoldFlag = (typeof HoldFlag)[keyof typeof HoldFlag];

/** enum picket_keeper_kind */
export const KeeperKind = {
  RULES: 1,
  DROP_RULES: 2,
  POLICY: 3,
  ANSWER: 4,
  RETIRE: 5,
  HELLO: 16,
  HELD: 17,
  RESULT: 18,
  STATS: 19,
} as const;
export type KeeperKind = (typeof KeeperKind)[keyof typeof KeeperKind];

/** enum picket_consult */
export const Consult = {
  NEVER: 0,
  GREY: 1,
  ALWAYS: 2,
} as const;
export type Consult = (typeof Consult)[keyof typeof Consult];

/** enum picket_answer */
export const Answer = {
  RELEASE: 1,
  DENY: 2,
} as const;
export type Answer = (typeof Answer)[keyof typeof Answer];

/** enum picket_outcome */
export const Outcome = {
  WAITING: 0,
  RELEASED: 1,
  SUBSTITUTED: 2,
  KILLED: 3,
  GONE: 4,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** enum picket_because */
export const Because = {
  NO_SIGNAL: 1,
  RULE: 2,
  ANSWERED: 3,
  DEADLINE: 4,
  NO_AGENT: 5,
  NO_RULES: 6,
  EXHAUSTED: 7,
} as const;
export type Because = (typeof Because)[keyof typeof Because];

/** struct picket_event_header, 24 bytes */
export interface EventHeader {
  seq: bigint;
  timeNs: bigint;
  size: number;
  cpu: number;
  kind: EventKind;
  abi: number;
}

export class EventHeaderView {
  static readonly size = 24;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): EventHeaderView {
    return new EventHeaderView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get seq(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get timeNs(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get size(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  get cpu(): number {
    return this.view.getUint16(this.at + 20, little);
  }

  get kind(): EventKind {
    return this.view.getUint8(this.at + 22) as EventKind;
  }

  get abi(): number {
    return this.view.getUint8(this.at + 23);
  }

  /** Everything, taken out of the bytes. */
  copy(): EventHeader {
    return {
      seq: this.seq,
      timeNs: this.timeNs,
      size: this.size,
      cpu: this.cpu,
      kind: this.kind,
      abi: this.abi,
    };
  }
}

export const EventHeader: Codec<EventHeader> = {
  size: 24,
  encode(value) {
    const encoded = new Uint8Array(24);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_event_header.seq", value.seq, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_event_header.timeNs", value.timeNs, 0n, 18446744073709551615n), little);
    view.setUint32(16, setInteger("picket_event_header.size", value.size, 0, 4294967295), little);
    view.setUint16(20, setInteger("picket_event_header.cpu", value.cpu, 0, 65535), little);
    view.setUint8(22, setInteger("picket_event_header.kind", value.kind, 0, 255));
    view.setUint8(23, setInteger("picket_event_header.abi", value.abi, 0, 255));
    return encoded;
  },
  decode: bytes => EventHeaderView.of(bytes).copy(),
};

/** struct picket_process, 40 bytes */
export interface Process {
  cgroupId: bigint;
  startNs: bigint;
  tgid: number;
  tid: number;
  comm: string;
}

export class ProcessView {
  static readonly size = 40;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): ProcessView {
    return new ProcessView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get cgroupId(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get startNs(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get tgid(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  get tid(): number {
    return this.view.getUint32(this.at + 20, little);
  }

  get comm(): string {
    return text(this.view, this.at + 24, 16);
  }

  /** Everything, taken out of the bytes. */
  copy(): Process {
    return {
      cgroupId: this.cgroupId,
      startNs: this.startNs,
      tgid: this.tgid,
      tid: this.tid,
      comm: this.comm,
    };
  }
}

export const Process: Codec<Process> = {
  size: 40,
  encode(value) {
    const encoded = new Uint8Array(40);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_process.cgroupId", value.cgroupId, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_process.startNs", value.startNs, 0n, 18446744073709551615n), little);
    view.setUint32(16, setInteger("picket_process.tgid", value.tgid, 0, 4294967295), little);
    view.setUint32(20, setInteger("picket_process.tid", value.tid, 0, 4294967295), little);
    setText(view, 24, 16, value.comm);
    return encoded;
  },
  decode: bytes => ProcessView.of(bytes).copy(),
};

/** struct picket_endpoints, 40 bytes */
export interface Endpoints {
  localAddr: Uint8Array;
  remoteAddr: Uint8Array;
  localPort: number;
  remotePort: number;
  family: number;
}

export class EndpointsView {
  static readonly size = 40;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): EndpointsView {
    return new EndpointsView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get localAddr(): Uint8Array {
    return bytes(this.view, this.at, 16);
  }

  get remoteAddr(): Uint8Array {
    return bytes(this.view, this.at + 16, 16);
  }

  get localPort(): number {
    return this.view.getUint16(this.at + 32, little);
  }

  get remotePort(): number {
    return this.view.getUint16(this.at + 34, little);
  }

  get family(): number {
    return this.view.getUint8(this.at + 36);
  }

  /** Everything, taken out of the bytes. */
  copy(): Endpoints {
    return {
      localAddr: this.localAddr.slice(),
      remoteAddr: this.remoteAddr.slice(),
      localPort: this.localPort,
      remotePort: this.remotePort,
      family: this.family,
    };
  }
}

export const Endpoints: Codec<Endpoints> = {
  size: 40,
  encode(value) {
    const encoded = new Uint8Array(40);
    const view = viewOf(encoded);
    setBytes(view, 0, 16, value.localAddr);
    setBytes(view, 16, 16, value.remoteAddr);
    view.setUint16(32, setInteger("picket_endpoints.localPort", value.localPort, 0, 65535), little);
    view.setUint16(34, setInteger("picket_endpoints.remotePort", value.remotePort, 0, 65535), little);
    view.setUint8(36, setInteger("picket_endpoints.family", value.family, 0, 255));
    return encoded;
  },
  decode: bytes => EndpointsView.of(bytes).copy(),
};

/** struct picket_connection_event, 176 bytes */
export interface ConnectionEvent {
  header: EventHeader;
  cookie: bigint;
  process: Process;
  endpoints: Endpoints;
  connectNs: bigint;
  lifetimeNs: bigint;
  bytesSent: bigint;
  bytesReceived: bigint;
  srttUs: number;
  retransmits: number;
  oldState: number;
  newState: number;
  protocol: Protocol;
  adopted: boolean;
  enrolled: boolean;
  workloadMode: WorkloadMode;
  workload: number;
  statements: bigint;
  reason: ConnectionReason;
  notice: Notice;
}

export class ConnectionEventView {
  static readonly size = 176;
  view: DataView;
  at: number;
  readonly header: EventHeaderView;
  readonly process: ProcessView;
  readonly endpoints: EndpointsView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.header = new EventHeaderView(view, at);
    this.process = new ProcessView(view, at + 32);
    this.endpoints = new EndpointsView(view, at + 72);
  }

  static of(bytes: Uint8Array): ConnectionEventView {
    return new ConnectionEventView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.header.moveTo(view, at);
    this.process.moveTo(view, at + 32);
    this.endpoints.moveTo(view, at + 72);
    return this;
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get connectNs(): bigint {
    return this.view.getBigUint64(this.at + 112, little);
  }

  get lifetimeNs(): bigint {
    return this.view.getBigUint64(this.at + 120, little);
  }

  get bytesSent(): bigint {
    return this.view.getBigUint64(this.at + 128, little);
  }

  get bytesReceived(): bigint {
    return this.view.getBigUint64(this.at + 136, little);
  }

  get srttUs(): number {
    return this.view.getUint32(this.at + 144, little);
  }

  get retransmits(): number {
    return this.view.getUint32(this.at + 148, little);
  }

  get oldState(): number {
    return this.view.getUint8(this.at + 152);
  }

  get newState(): number {
    return this.view.getUint8(this.at + 153);
  }

  get protocol(): Protocol {
    return this.view.getUint8(this.at + 154) as Protocol;
  }

  get adopted(): boolean {
    return (this.view.getUint8(this.at + 155) & 1) !== 0;
  }

  get enrolled(): boolean {
    return (this.view.getUint8(this.at + 155) & 2) !== 0;
  }

  get workloadMode(): WorkloadMode {
    return ((this.view.getUint8(this.at + 155) >>> 2) & 0x3) as WorkloadMode;
  }

  get workload(): number {
    return this.view.getUint32(this.at + 156, little);
  }

  get statements(): bigint {
    return this.view.getBigUint64(this.at + 160, little);
  }

  get reason(): ConnectionReason {
    return this.view.getUint8(this.at + 168) as ConnectionReason;
  }

  get notice(): Notice {
    return this.view.getUint8(this.at + 169) as Notice;
  }

  /** Everything, taken out of the bytes. */
  copy(): ConnectionEvent {
    return {
      header: this.header.copy(),
      cookie: this.cookie,
      process: this.process.copy(),
      endpoints: this.endpoints.copy(),
      connectNs: this.connectNs,
      lifetimeNs: this.lifetimeNs,
      bytesSent: this.bytesSent,
      bytesReceived: this.bytesReceived,
      srttUs: this.srttUs,
      retransmits: this.retransmits,
      oldState: this.oldState,
      newState: this.newState,
      protocol: this.protocol,
      adopted: this.adopted,
      enrolled: this.enrolled,
      workloadMode: this.workloadMode,
      workload: this.workload,
      statements: this.statements,
      reason: this.reason,
      notice: this.notice,
    };
  }
}

export const ConnectionEvent: Codec<ConnectionEvent> = {
  size: 176,
  encode(value) {
    const encoded = new Uint8Array(176);
    const view = viewOf(encoded);
    encoded.set(EventHeader.encode(value.header), 0);
    view.setBigUint64(24, setBig("picket_connection_event.cookie", value.cookie, 0n, 18446744073709551615n), little);
    encoded.set(Process.encode(value.process), 32);
    encoded.set(Endpoints.encode(value.endpoints), 72);
    view.setBigUint64(112, setBig("picket_connection_event.connectNs", value.connectNs, 0n, 18446744073709551615n), little);
    view.setBigUint64(120, setBig("picket_connection_event.lifetimeNs", value.lifetimeNs, 0n, 18446744073709551615n), little);
    view.setBigUint64(128, setBig("picket_connection_event.bytesSent", value.bytesSent, 0n, 18446744073709551615n), little);
    view.setBigUint64(136, setBig("picket_connection_event.bytesReceived", value.bytesReceived, 0n, 18446744073709551615n), little);
    view.setUint32(144, setInteger("picket_connection_event.srttUs", value.srttUs, 0, 4294967295), little);
    view.setUint32(148, setInteger("picket_connection_event.retransmits", value.retransmits, 0, 4294967295), little);
    view.setUint8(152, setInteger("picket_connection_event.oldState", value.oldState, 0, 255));
    view.setUint8(153, setInteger("picket_connection_event.newState", value.newState, 0, 255));
    view.setUint8(154, setInteger("picket_connection_event.protocol", value.protocol, 0, 255));
    view.setUint8(155, (view.getUint8(155) | ((value.adopted ? 1 : 0) << 0)) >>> 0);
    view.setUint8(155, (view.getUint8(155) | ((value.enrolled ? 1 : 0) << 1)) >>> 0);
    view.setUint8(155, (view.getUint8(155) | ((setInteger("picket_connection_event.workloadMode", value.workloadMode, 0, 3) & 0x3) << 2)) >>> 0);
    view.setUint32(156, setInteger("picket_connection_event.workload", value.workload, 0, 4294967295), little);
    view.setBigUint64(160, setBig("picket_connection_event.statements", value.statements, 0n, 18446744073709551615n), little);
    view.setUint8(168, setInteger("picket_connection_event.reason", value.reason, 0, 255));
    view.setUint8(169, setInteger("picket_connection_event.notice", value.notice, 0, 255));
    return encoded;
  },
  decode: bytes => ConnectionEventView.of(bytes).copy(),
};

/** struct picket_name, 96 bytes */
export interface Name {
  bytes: number;
  text: string;
}

export class NameView {
  static readonly size = 96;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): NameView {
    return new NameView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get bytes(): number {
    return this.view.getUint8(this.at);
  }

  get text(): string {
    return text(this.view, this.at + 1, 95);
  }

  /** Everything, taken out of the bytes. */
  copy(): Name {
    return {
      bytes: this.bytes,
      text: this.text,
    };
  }
}

export const Name: Codec<Name> = {
  size: 96,
  encode(value) {
    const encoded = new Uint8Array(96);
    const view = viewOf(encoded);
    view.setUint8(0, setInteger("picket_name.bytes", value.bytes, 0, 255));
    setText(view, 1, 95, value.text);
    return encoded;
  },
  decode: bytes => NameView.of(bytes).copy(),
};

/** struct picket_login_event, 224 bytes */
export interface LoginEvent {
  header: EventHeader;
  cookie: bigint;
  user: Name;
  database: Name;
}

export class LoginEventView {
  static readonly size = 224;
  view: DataView;
  at: number;
  readonly header: EventHeaderView;
  readonly user: NameView;
  readonly database: NameView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.header = new EventHeaderView(view, at);
    this.user = new NameView(view, at + 32);
    this.database = new NameView(view, at + 128);
  }

  static of(bytes: Uint8Array): LoginEventView {
    return new LoginEventView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.header.moveTo(view, at);
    this.user.moveTo(view, at + 32);
    this.database.moveTo(view, at + 128);
    return this;
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): LoginEvent {
    return {
      header: this.header.copy(),
      cookie: this.cookie,
      user: this.user.copy(),
      database: this.database.copy(),
    };
  }
}

export const LoginEvent: Codec<LoginEvent> = {
  size: 224,
  encode(value) {
    const encoded = new Uint8Array(224);
    const view = viewOf(encoded);
    encoded.set(EventHeader.encode(value.header), 0);
    view.setBigUint64(24, setBig("picket_login_event.cookie", value.cookie, 0n, 18446744073709551615n), little);
    encoded.set(Name.encode(value.user), 32);
    encoded.set(Name.encode(value.database), 128);
    return encoded;
  },
  decode: bytes => LoginEventView.of(bytes).copy(),
};

/** struct picket_statement_event, 184 bytes */
export interface StatementEvent {
  header: EventHeader;
  cookie: bigint;
  statement: bigint;
  fingerprint: bigint;
  scope: bigint;
  incident: bigint;
  process: Process;
  endpoints: Endpoints;
  workload: number;
  version: number;
  danger: number;
  textOffset: number;
  textBytes: number;
  statementBytes: number;
  fragment: number;
  rule: number;
  protocol: Protocol;
  message: Message;
  verdict: Verdict;
  action: Action;
  guarantee: Guarantee;
  slot: number;
  session: number;
  first: boolean;
  last: boolean;
  substituted: boolean;
  adopted: boolean;
  sampled: boolean;
  text: Uint8Array;
}

export class StatementEventView {
  static readonly size = 184;
  view: DataView;
  at: number;
  readonly header: EventHeaderView;
  readonly process: ProcessView;
  readonly endpoints: EndpointsView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.header = new EventHeaderView(view, at);
    this.process = new ProcessView(view, at + 64);
    this.endpoints = new EndpointsView(view, at + 104);
  }

  static of(bytes: Uint8Array): StatementEventView {
    return new StatementEventView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.header.moveTo(view, at);
    this.process.moveTo(view, at + 64);
    this.endpoints.moveTo(view, at + 104);
    return this;
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get statement(): bigint {
    return this.view.getBigUint64(this.at + 32, little);
  }

  get fingerprint(): bigint {
    return this.view.getBigUint64(this.at + 40, little);
  }

  get scope(): bigint {
    return this.view.getBigUint64(this.at + 48, little);
  }

  get incident(): bigint {
    return this.view.getBigUint64(this.at + 56, little);
  }

  get workload(): number {
    return this.view.getUint32(this.at + 144, little);
  }

  get version(): number {
    return this.view.getUint32(this.at + 148, little);
  }

  get danger(): number {
    return this.view.getUint32(this.at + 152, little);
  }

  get textOffset(): number {
    return this.view.getUint32(this.at + 156, little);
  }

  get textBytes(): number {
    return this.view.getUint32(this.at + 160, little);
  }

  get statementBytes(): number {
    return this.view.getUint32(this.at + 164, little);
  }

  get fragment(): number {
    return this.view.getUint32(this.at + 168, little);
  }

  get rule(): number {
    return this.view.getUint32(this.at + 172, little);
  }

  get protocol(): Protocol {
    return this.view.getUint8(this.at + 176) as Protocol;
  }

  get message(): Message {
    return this.view.getUint8(this.at + 177) as Message;
  }

  get verdict(): Verdict {
    return this.view.getUint8(this.at + 178) as Verdict;
  }

  get action(): Action {
    return this.view.getUint8(this.at + 179) as Action;
  }

  get guarantee(): Guarantee {
    return this.view.getUint8(this.at + 180) as Guarantee;
  }

  get slot(): number {
    return this.view.getUint8(this.at + 181);
  }

  get session(): number {
    return this.view.getUint8(this.at + 182);
  }

  get first(): boolean {
    return (this.view.getUint8(this.at + 183) & 1) !== 0;
  }

  get last(): boolean {
    return (this.view.getUint8(this.at + 183) & 2) !== 0;
  }

  get substituted(): boolean {
    return (this.view.getUint8(this.at + 183) & 4) !== 0;
  }

  get adopted(): boolean {
    return (this.view.getUint8(this.at + 183) & 8) !== 0;
  }

  get sampled(): boolean {
    return (this.view.getUint8(this.at + 183) & 16) !== 0;
  }

  get text(): Uint8Array {
    return bytes(this.view, this.at + 184, this.textBytes);
  }

  /** Everything, taken out of the bytes. */
  copy(): StatementEvent {
    return {
      header: this.header.copy(),
      cookie: this.cookie,
      statement: this.statement,
      fingerprint: this.fingerprint,
      scope: this.scope,
      incident: this.incident,
      process: this.process.copy(),
      endpoints: this.endpoints.copy(),
      workload: this.workload,
      version: this.version,
      danger: this.danger,
      textOffset: this.textOffset,
      textBytes: this.textBytes,
      statementBytes: this.statementBytes,
      fragment: this.fragment,
      rule: this.rule,
      protocol: this.protocol,
      message: this.message,
      verdict: this.verdict,
      action: this.action,
      guarantee: this.guarantee,
      slot: this.slot,
      session: this.session,
      first: this.first,
      last: this.last,
      substituted: this.substituted,
      adopted: this.adopted,
      sampled: this.sampled,
      text: this.text.slice(),
    };
  }
}

/** struct picket_verdict_entry, 24 bytes */
export interface VerdictEntry {
  count: bigint;
  lastNs: bigint;
  rule: number;
  verdict: Verdict;
  action: Action;
  source: number;
}

export class VerdictEntryView {
  static readonly size = 24;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): VerdictEntryView {
    return new VerdictEntryView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get count(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get lastNs(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get rule(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  get verdict(): Verdict {
    return this.view.getUint8(this.at + 20) as Verdict;
  }

  get action(): Action {
    return this.view.getUint8(this.at + 21) as Action;
  }

  get source(): number {
    return this.view.getUint8(this.at + 22);
  }

  /** Everything, taken out of the bytes. */
  copy(): VerdictEntry {
    return {
      count: this.count,
      lastNs: this.lastNs,
      rule: this.rule,
      verdict: this.verdict,
      action: this.action,
      source: this.source,
    };
  }
}

export const VerdictEntry: Codec<VerdictEntry> = {
  size: 24,
  encode(value) {
    const encoded = new Uint8Array(24);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_verdict_entry.count", value.count, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_verdict_entry.lastNs", value.lastNs, 0n, 18446744073709551615n), little);
    view.setUint32(16, setInteger("picket_verdict_entry.rule", value.rule, 0, 4294967295), little);
    view.setUint8(20, setInteger("picket_verdict_entry.verdict", value.verdict, 0, 255));
    view.setUint8(21, setInteger("picket_verdict_entry.action", value.action, 0, 255));
    view.setUint8(22, setInteger("picket_verdict_entry.source", value.source, 0, 255));
    return encoded;
  },
  decode: bytes => VerdictEntryView.of(bytes).copy(),
};

/** struct picket_slot_settings, 64 bytes */
export interface SlotSettings {
  hashKey: bigint;
  hashStart: bigint;
  reportIntervalNs: bigint;
  version: number;
  slot: number;
  textBytesMax: number;
  neverKnownBurst: number;
  holdBytesMax: number;
  holdBurst: number;
  failMask: number;
  compareMask: number;
  onFailure: OnFailure;
}

export class SlotSettingsView {
  static readonly size = 64;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): SlotSettingsView {
    return new SlotSettingsView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get hashKey(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get hashStart(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get reportIntervalNs(): bigint {
    return this.view.getBigUint64(this.at + 16, little);
  }

  get version(): number {
    return this.view.getUint32(this.at + 24, little);
  }

  get slot(): number {
    return this.view.getUint32(this.at + 28, little);
  }

  get textBytesMax(): number {
    return this.view.getUint32(this.at + 32, little);
  }

  get neverKnownBurst(): number {
    return this.view.getUint32(this.at + 36, little);
  }

  get holdBytesMax(): number {
    return this.view.getUint32(this.at + 40, little);
  }

  get holdBurst(): number {
    return this.view.getUint32(this.at + 44, little);
  }

  get failMask(): number {
    return this.view.getUint32(this.at + 48, little);
  }

  get compareMask(): number {
    return this.view.getUint32(this.at + 52, little);
  }

  get onFailure(): OnFailure {
    return this.view.getUint8(this.at + 56) as OnFailure;
  }

  /** Everything, taken out of the bytes. */
  copy(): SlotSettings {
    return {
      hashKey: this.hashKey,
      hashStart: this.hashStart,
      reportIntervalNs: this.reportIntervalNs,
      version: this.version,
      slot: this.slot,
      textBytesMax: this.textBytesMax,
      neverKnownBurst: this.neverKnownBurst,
      holdBytesMax: this.holdBytesMax,
      holdBurst: this.holdBurst,
      failMask: this.failMask,
      compareMask: this.compareMask,
      onFailure: this.onFailure,
    };
  }
}

export const SlotSettings: Codec<SlotSettings> = {
  size: 64,
  encode(value) {
    const encoded = new Uint8Array(64);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_slot_settings.hashKey", value.hashKey, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_slot_settings.hashStart", value.hashStart, 0n, 18446744073709551615n), little);
    view.setBigUint64(16, setBig("picket_slot_settings.reportIntervalNs", value.reportIntervalNs, 0n, 18446744073709551615n), little);
    view.setUint32(24, setInteger("picket_slot_settings.version", value.version, 0, 4294967295), little);
    view.setUint32(28, setInteger("picket_slot_settings.slot", value.slot, 0, 4294967295), little);
    view.setUint32(32, setInteger("picket_slot_settings.textBytesMax", value.textBytesMax, 0, 4294967295), little);
    view.setUint32(36, setInteger("picket_slot_settings.neverKnownBurst", value.neverKnownBurst, 0, 4294967295), little);
    view.setUint32(40, setInteger("picket_slot_settings.holdBytesMax", value.holdBytesMax, 0, 4294967295), little);
    view.setUint32(44, setInteger("picket_slot_settings.holdBurst", value.holdBurst, 0, 4294967295), little);
    view.setUint32(48, setInteger("picket_slot_settings.failMask", value.failMask, 0, 4294967295), little);
    view.setUint32(52, setInteger("picket_slot_settings.compareMask", value.compareMask, 0, 4294967295), little);
    view.setUint8(56, setInteger("picket_slot_settings.onFailure", value.onFailure, 0, 255));
    return encoded;
  },
  decode: bytes => SlotSettingsView.of(bytes).copy(),
};

/** struct picket_rule_text, 32 bytes */
export interface RuleText {
  bytes: number;
  text: string;
}

export class RuleTextView {
  static readonly size = 32;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): RuleTextView {
    return new RuleTextView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get bytes(): number {
    return this.view.getUint8(this.at);
  }

  get text(): string {
    return text(this.view, this.at + 1, 31);
  }

  /** Everything, taken out of the bytes. */
  copy(): RuleText {
    return {
      bytes: this.bytes,
      text: this.text,
    };
  }
}

export const RuleText: Codec<RuleText> = {
  size: 32,
  encode(value) {
    const encoded = new Uint8Array(32);
    const view = viewOf(encoded);
    view.setUint8(0, setInteger("picket_rule_text.bytes", value.bytes, 0, 255));
    setText(view, 1, 31, value.text);
    return encoded;
  },
  decode: bytes => RuleTextView.of(bytes).copy(),
};

/** struct picket_owner, 48 bytes */
export interface Owner {
  process: Process;
  workload: number;
  mode: WorkloadMode;
}

export class OwnerView {
  static readonly size = 48;
  view: DataView;
  at: number;
  readonly process: ProcessView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.process = new ProcessView(view, at);
  }

  static of(bytes: Uint8Array): OwnerView {
    return new OwnerView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.process.moveTo(view, at);
    return this;
  }

  get workload(): number {
    return this.view.getUint32(this.at + 40, little);
  }

  get mode(): WorkloadMode {
    return this.view.getUint8(this.at + 44) as WorkloadMode;
  }

  /** Everything, taken out of the bytes. */
  copy(): Owner {
    return {
      process: this.process.copy(),
      workload: this.workload,
      mode: this.mode,
    };
  }
}

export const Owner: Codec<Owner> = {
  size: 48,
  encode(value) {
    const encoded = new Uint8Array(48);
    const view = viewOf(encoded);
    encoded.set(Process.encode(value.process), 0);
    view.setUint32(40, setInteger("picket_owner.workload", value.workload, 0, 4294967295), little);
    view.setUint8(44, setInteger("picket_owner.mode", value.mode, 0, 255));
    return encoded;
  },
  decode: bytes => OwnerView.of(bytes).copy(),
};

/** struct picket_dispatch, 32 bytes */
export interface Dispatch {
  salt: bigint;
  scopeSinceNs: bigint;
  stable: number;
  candidate: number;
  share: number;
  newProcessesOnly: number;
}

export class DispatchView {
  static readonly size = 32;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): DispatchView {
    return new DispatchView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get salt(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get scopeSinceNs(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get stable(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  get candidate(): number {
    return this.view.getUint32(this.at + 20, little);
  }

  get share(): number {
    return this.view.getUint32(this.at + 24, little);
  }

  get newProcessesOnly(): number {
    return this.view.getUint8(this.at + 28);
  }

  /** Everything, taken out of the bytes. */
  copy(): Dispatch {
    return {
      salt: this.salt,
      scopeSinceNs: this.scopeSinceNs,
      stable: this.stable,
      candidate: this.candidate,
      share: this.share,
      newProcessesOnly: this.newProcessesOnly,
    };
  }
}

export const Dispatch: Codec<Dispatch> = {
  size: 32,
  encode(value) {
    const encoded = new Uint8Array(32);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_dispatch.salt", value.salt, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_dispatch.scopeSinceNs", value.scopeSinceNs, 0n, 18446744073709551615n), little);
    view.setUint32(16, setInteger("picket_dispatch.stable", value.stable, 0, 4294967295), little);
    view.setUint32(20, setInteger("picket_dispatch.candidate", value.candidate, 0, 4294967295), little);
    view.setUint32(24, setInteger("picket_dispatch.share", value.share, 0, 4294967295), little);
    view.setUint8(28, setInteger("picket_dispatch.newProcessesOnly", value.newProcessesOnly, 0, 255));
    return encoded;
  },
  decode: bytes => DispatchView.of(bytes).copy(),
};

/** struct picket_workload, 8 bytes */
export interface Workload {
  id: number;
  mode: WorkloadMode;
  sockets: Sockets;
}

export class WorkloadView {
  static readonly size = 8;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): WorkloadView {
    return new WorkloadView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get id(): number {
    return this.view.getUint32(this.at, little);
  }

  get mode(): WorkloadMode {
    return this.view.getUint8(this.at + 4) as WorkloadMode;
  }

  get sockets(): Sockets {
    return this.view.getUint8(this.at + 5) as Sockets;
  }

  /** Everything, taken out of the bytes. */
  copy(): Workload {
    return {
      id: this.id,
      mode: this.mode,
      sockets: this.sockets,
    };
  }
}

export const Workload: Codec<Workload> = {
  size: 8,
  encode(value) {
    const encoded = new Uint8Array(8);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_workload.id", value.id, 0, 4294967295), little);
    view.setUint8(4, setInteger("picket_workload.mode", value.mode, 0, 255));
    view.setUint8(5, setInteger("picket_workload.sockets", value.sockets, 0, 255));
    return encoded;
  },
  decode: bytes => WorkloadView.of(bytes).copy(),
};

/** struct picket_slot_counters, 80 bytes */
export interface SlotCounters {
  statements: bigint;
  known: bigint;
  unknown: bigint;
  neverKnown: bigint;
  blocked: bigint;
  severed: bigint;
  wouldBlock: bigint;
  bytes: bigint;
  held: bigint;
  unjudged: bigint;
}

export class SlotCountersView {
  static readonly size = 80;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): SlotCountersView {
    return new SlotCountersView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get statements(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get known(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get unknown(): bigint {
    return this.view.getBigUint64(this.at + 16, little);
  }

  get neverKnown(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get blocked(): bigint {
    return this.view.getBigUint64(this.at + 32, little);
  }

  get severed(): bigint {
    return this.view.getBigUint64(this.at + 40, little);
  }

  get wouldBlock(): bigint {
    return this.view.getBigUint64(this.at + 48, little);
  }

  get bytes(): bigint {
    return this.view.getBigUint64(this.at + 56, little);
  }

  get held(): bigint {
    return this.view.getBigUint64(this.at + 64, little);
  }

  get unjudged(): bigint {
    return this.view.getBigUint64(this.at + 72, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): SlotCounters {
    return {
      statements: this.statements,
      known: this.known,
      unknown: this.unknown,
      neverKnown: this.neverKnown,
      blocked: this.blocked,
      severed: this.severed,
      wouldBlock: this.wouldBlock,
      bytes: this.bytes,
      held: this.held,
      unjudged: this.unjudged,
    };
  }
}

export const SlotCounters: Codec<SlotCounters> = {
  size: 80,
  encode(value) {
    const encoded = new Uint8Array(80);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_slot_counters.statements", value.statements, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_slot_counters.known", value.known, 0n, 18446744073709551615n), little);
    view.setBigUint64(16, setBig("picket_slot_counters.unknown", value.unknown, 0n, 18446744073709551615n), little);
    view.setBigUint64(24, setBig("picket_slot_counters.neverKnown", value.neverKnown, 0n, 18446744073709551615n), little);
    view.setBigUint64(32, setBig("picket_slot_counters.blocked", value.blocked, 0n, 18446744073709551615n), little);
    view.setBigUint64(40, setBig("picket_slot_counters.severed", value.severed, 0n, 18446744073709551615n), little);
    view.setBigUint64(48, setBig("picket_slot_counters.wouldBlock", value.wouldBlock, 0n, 18446744073709551615n), little);
    view.setBigUint64(56, setBig("picket_slot_counters.bytes", value.bytes, 0n, 18446744073709551615n), little);
    view.setBigUint64(64, setBig("picket_slot_counters.held", value.held, 0n, 18446744073709551615n), little);
    view.setBigUint64(72, setBig("picket_slot_counters.unjudged", value.unjudged, 0n, 18446744073709551615n), little);
    return encoded;
  },
  decode: bytes => SlotCountersView.of(bytes).copy(),
};

/** struct picket_responses, 208 bytes */
export interface Responses {
  ok: bigint;
  errors: bigint;
  latency: bigint[];
}

export class ResponsesView {
  static readonly size = 208;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): ResponsesView {
    return new ResponsesView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get ok(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get errors(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get latency(): bigint[] {
    return Array.from({ length: 24 }, (_, index) => this.view.getBigUint64(this.at + 16 + index * 8, little));
  }

  /** Everything, taken out of the bytes. */
  copy(): Responses {
    return {
      ok: this.ok,
      errors: this.errors,
      latency: this.latency,
    };
  }
}

export const Responses: Codec<Responses> = {
  size: 208,
  encode(value) {
    const encoded = new Uint8Array(208);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_responses.ok", value.ok, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_responses.errors", value.errors, 0n, 18446744073709551615n), little);
    if (value.latency.length !== 24) throw new RangeError("picket_responses.latency");
    value.latency.forEach((element, index) => {
      view.setBigUint64(16 + index * 8, setBig("picket_responses.element", element, 0n, 18446744073709551615n), little);
    });
    return encoded;
  },
  decode: bytes => ResponsesView.of(bytes).copy(),
};

/** struct picket_held, 192 bytes */
export interface Held {
  magic: number;
  bytes: number;
  cookie: bigint;
  offset: bigint;
  timeNs: bigint;
  statement: bigint;
  fingerprint: bigint;
  scope: bigint;
  incident: bigint;
  process: Process;
  endpoints: Endpoints;
  frameBytes: number;
  sqlAt: number;
  sqlBytes: number;
  textOffset: number;
  statementBytes: number;
  fragment: number;
  danger: number;
  workload: number;
  version: number;
  flags: HeldFlag;
  protocol: Protocol;
  message: Message;
  session: number;
  slot: number;
  sockets: Sockets;
  adopted: number;
}

export class HeldView {
  static readonly size = 192;
  view: DataView;
  at: number;
  readonly process: ProcessView;
  readonly endpoints: EndpointsView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.process = new ProcessView(view, at + 64);
    this.endpoints = new EndpointsView(view, at + 104);
  }

  static of(bytes: Uint8Array): HeldView {
    return new HeldView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.process.moveTo(view, at + 64);
    this.endpoints.moveTo(view, at + 104);
    return this;
  }

  get magic(): number {
    return this.view.getUint32(this.at, little);
  }

  get bytes(): number {
    return this.view.getUint32(this.at + 4, little);
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get offset(): bigint {
    return this.view.getBigUint64(this.at + 16, little);
  }

  get timeNs(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get statement(): bigint {
    return this.view.getBigUint64(this.at + 32, little);
  }

  get fingerprint(): bigint {
    return this.view.getBigUint64(this.at + 40, little);
  }

  get scope(): bigint {
    return this.view.getBigUint64(this.at + 48, little);
  }

  get incident(): bigint {
    return this.view.getBigUint64(this.at + 56, little);
  }

  get frameBytes(): number {
    return this.view.getUint32(this.at + 144, little);
  }

  get sqlAt(): number {
    return this.view.getUint32(this.at + 148, little);
  }

  get sqlBytes(): number {
    return this.view.getUint32(this.at + 152, little);
  }

  get textOffset(): number {
    return this.view.getUint32(this.at + 156, little);
  }

  get statementBytes(): number {
    return this.view.getUint32(this.at + 160, little);
  }

  get fragment(): number {
    return this.view.getUint32(this.at + 164, little);
  }

  get danger(): number {
    return this.view.getUint32(this.at + 168, little);
  }

  get workload(): number {
    return this.view.getUint32(this.at + 172, little);
  }

  get version(): number {
    return this.view.getUint32(this.at + 176, little);
  }

  get flags(): HeldFlag {
    return this.view.getUint8(this.at + 180) as HeldFlag;
  }

  get protocol(): Protocol {
    return this.view.getUint8(this.at + 181) as Protocol;
  }

  get message(): Message {
    return this.view.getUint8(this.at + 182) as Message;
  }

  get session(): number {
    return this.view.getUint8(this.at + 183);
  }

  get slot(): number {
    return this.view.getUint8(this.at + 184);
  }

  get sockets(): Sockets {
    return this.view.getUint8(this.at + 185) as Sockets;
  }

  get adopted(): number {
    return this.view.getUint8(this.at + 186);
  }

  /** Everything, taken out of the bytes. */
  copy(): Held {
    return {
      magic: this.magic,
      bytes: this.bytes,
      cookie: this.cookie,
      offset: this.offset,
      timeNs: this.timeNs,
      statement: this.statement,
      fingerprint: this.fingerprint,
      scope: this.scope,
      incident: this.incident,
      process: this.process.copy(),
      endpoints: this.endpoints.copy(),
      frameBytes: this.frameBytes,
      sqlAt: this.sqlAt,
      sqlBytes: this.sqlBytes,
      textOffset: this.textOffset,
      statementBytes: this.statementBytes,
      fragment: this.fragment,
      danger: this.danger,
      workload: this.workload,
      version: this.version,
      flags: this.flags,
      protocol: this.protocol,
      message: this.message,
      session: this.session,
      slot: this.slot,
      sockets: this.sockets,
      adopted: this.adopted,
    };
  }
}

export const Held: Codec<Held> = {
  size: 192,
  encode(value) {
    const encoded = new Uint8Array(192);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_held.magic", value.magic, 0, 4294967295), little);
    view.setUint32(4, setInteger("picket_held.bytes", value.bytes, 0, 4294967295), little);
    view.setBigUint64(8, setBig("picket_held.cookie", value.cookie, 0n, 18446744073709551615n), little);
    view.setBigUint64(16, setBig("picket_held.offset", value.offset, 0n, 18446744073709551615n), little);
    view.setBigUint64(24, setBig("picket_held.timeNs", value.timeNs, 0n, 18446744073709551615n), little);
    view.setBigUint64(32, setBig("picket_held.statement", value.statement, 0n, 18446744073709551615n), little);
    view.setBigUint64(40, setBig("picket_held.fingerprint", value.fingerprint, 0n, 18446744073709551615n), little);
    view.setBigUint64(48, setBig("picket_held.scope", value.scope, 0n, 18446744073709551615n), little);
    view.setBigUint64(56, setBig("picket_held.incident", value.incident, 0n, 18446744073709551615n), little);
    encoded.set(Process.encode(value.process), 64);
    encoded.set(Endpoints.encode(value.endpoints), 104);
    view.setUint32(144, setInteger("picket_held.frameBytes", value.frameBytes, 0, 4294967295), little);
    view.setUint32(148, setInteger("picket_held.sqlAt", value.sqlAt, 0, 4294967295), little);
    view.setUint32(152, setInteger("picket_held.sqlBytes", value.sqlBytes, 0, 4294967295), little);
    view.setUint32(156, setInteger("picket_held.textOffset", value.textOffset, 0, 4294967295), little);
    view.setUint32(160, setInteger("picket_held.statementBytes", value.statementBytes, 0, 4294967295), little);
    view.setUint32(164, setInteger("picket_held.fragment", value.fragment, 0, 4294967295), little);
    view.setUint32(168, setInteger("picket_held.danger", value.danger, 0, 4294967295), little);
    view.setUint32(172, setInteger("picket_held.workload", value.workload, 0, 4294967295), little);
    view.setUint32(176, setInteger("picket_held.version", value.version, 0, 4294967295), little);
    view.setUint8(180, setInteger("picket_held.flags", value.flags, 0, 255));
    view.setUint8(181, setInteger("picket_held.protocol", value.protocol, 0, 255));
    view.setUint8(182, setInteger("picket_held.message", value.message, 0, 255));
    view.setUint8(183, setInteger("picket_held.session", value.session, 0, 255));
    view.setUint8(184, setInteger("picket_held.slot", value.slot, 0, 255));
    view.setUint8(185, setInteger("picket_held.sockets", value.sockets, 0, 255));
    view.setUint8(186, setInteger("picket_held.adopted", value.adopted, 0, 255));
    return encoded;
  },
  decode: bytes => HeldView.of(bytes).copy(),
};

/** struct picket_release, 24 bytes */
export interface Release {
  magic: number;
  bytes: number;
  cookie: bigint;
  judge: number;
  sockets: Sockets;
}

export class ReleaseView {
  static readonly size = 24;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): ReleaseView {
    return new ReleaseView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get magic(): number {
    return this.view.getUint32(this.at, little);
  }

  get bytes(): number {
    return this.view.getUint32(this.at + 4, little);
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get judge(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  get sockets(): Sockets {
    return this.view.getUint8(this.at + 20) as Sockets;
  }

  /** Everything, taken out of the bytes. */
  copy(): Release {
    return {
      magic: this.magic,
      bytes: this.bytes,
      cookie: this.cookie,
      judge: this.judge,
      sockets: this.sockets,
    };
  }
}

export const Release: Codec<Release> = {
  size: 24,
  encode(value) {
    const encoded = new Uint8Array(24);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_release.magic", value.magic, 0, 4294967295), little);
    view.setUint32(4, setInteger("picket_release.bytes", value.bytes, 0, 4294967295), little);
    view.setBigUint64(8, setBig("picket_release.cookie", value.cookie, 0n, 18446744073709551615n), little);
    view.setUint32(16, setInteger("picket_release.judge", value.judge, 0, 4294967295), little);
    view.setUint8(20, setInteger("picket_release.sockets", value.sockets, 0, 255));
    return encoded;
  },
  decode: bytes => ReleaseView.of(bytes).copy(),
};

/** struct picket_hold, 16 bytes */
export interface Hold {
  released: bigint;
  flags: HoldFlag;
}

export class HoldView {
  static readonly size = 16;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): HoldView {
    return new HoldView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get released(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get flags(): HoldFlag {
    return this.view.getUint32(this.at + 8, little) as HoldFlag;
  }

  /** Everything, taken out of the bytes. */
  copy(): Hold {
    return {
      released: this.released,
      flags: this.flags,
    };
  }
}

export const Hold: Codec<Hold> = {
  size: 16,
  encode(value) {
    const encoded = new Uint8Array(16);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_hold.released", value.released, 0n, 18446744073709551615n), little);
    view.setUint32(8, setInteger("picket_hold.flags", value.flags, 0, 4294967295), little);
    return encoded;
  },
  decode: bytes => HoldView.of(bytes).copy(),
};

/** struct picket_keeper, 48 bytes */
export interface Keeper {
  heartbeatNs: bigint;
  bytesMax: bigint;
  diverted: bigint;
  settled: bigint;
  judges: number;
  sweep: number;
  magic: number;
}

export class KeeperView {
  static readonly size = 48;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperView {
    return new KeeperView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get heartbeatNs(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get bytesMax(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get diverted(): bigint {
    return this.view.getBigUint64(this.at + 16, little);
  }

  get settled(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get judges(): number {
    return this.view.getUint32(this.at + 32, little);
  }

  get sweep(): number {
    return this.view.getUint32(this.at + 36, little);
  }

  get magic(): number {
    return this.view.getUint32(this.at + 40, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): Keeper {
    return {
      heartbeatNs: this.heartbeatNs,
      bytesMax: this.bytesMax,
      diverted: this.diverted,
      settled: this.settled,
      judges: this.judges,
      sweep: this.sweep,
      magic: this.magic,
    };
  }
}

export const Keeper: Codec<Keeper> = {
  size: 48,
  encode(value) {
    const encoded = new Uint8Array(48);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_keeper.heartbeatNs", value.heartbeatNs, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_keeper.bytesMax", value.bytesMax, 0n, 18446744073709551615n), little);
    view.setBigUint64(16, setBig("picket_keeper.diverted", value.diverted, 0n, 18446744073709551615n), little);
    view.setBigUint64(24, setBig("picket_keeper.settled", value.settled, 0n, 18446744073709551615n), little);
    view.setUint32(32, setInteger("picket_keeper.judges", value.judges, 0, 4294967295), little);
    view.setUint32(36, setInteger("picket_keeper.sweep", value.sweep, 0, 4294967295), little);
    view.setUint32(40, setInteger("picket_keeper.magic", value.magic, 0, 4294967295), little);
    return encoded;
  },
  decode: bytes => KeeperView.of(bytes).copy(),
};

/** struct picket_severed, 56 bytes */
export interface Severed {
  cookie: bigint;
  endpoints: Endpoints;
  destroyed: number;
}

export class SeveredView {
  static readonly size = 56;
  view: DataView;
  at: number;
  readonly endpoints: EndpointsView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.endpoints = new EndpointsView(view, at + 8);
  }

  static of(bytes: Uint8Array): SeveredView {
    return new SeveredView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.endpoints.moveTo(view, at + 8);
    return this;
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get destroyed(): number {
    return this.view.getUint32(this.at + 48, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): Severed {
    return {
      cookie: this.cookie,
      endpoints: this.endpoints.copy(),
      destroyed: this.destroyed,
    };
  }
}

export const Severed: Codec<Severed> = {
  size: 56,
  encode(value) {
    const encoded = new Uint8Array(56);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_severed.cookie", value.cookie, 0n, 18446744073709551615n), little);
    encoded.set(Endpoints.encode(value.endpoints), 8);
    view.setUint32(48, setInteger("picket_severed.destroyed", value.destroyed, 0, 4294967295), little);
    return encoded;
  },
  decode: bytes => SeveredView.of(bytes).copy(),
};

/** struct picket_keeper_frame, 8 bytes */
export interface KeeperFrame {
  bytes: number;
  kind: KeeperKind;
}

export class KeeperFrameView {
  static readonly size = 8;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperFrameView {
    return new KeeperFrameView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get bytes(): number {
    return this.view.getUint32(this.at, little);
  }

  get kind(): KeeperKind {
    return this.view.getUint32(this.at + 4, little) as KeeperKind;
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperFrame {
    return {
      bytes: this.bytes,
      kind: this.kind,
    };
  }
}

export const KeeperFrame: Codec<KeeperFrame> = {
  size: 8,
  encode(value) {
    const encoded = new Uint8Array(8);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_keeper_frame.bytes", value.bytes, 0, 4294967295), little);
    view.setUint32(4, setInteger("picket_keeper_frame.kind", value.kind, 0, 4294967295), little);
    return encoded;
  },
  decode: bytes => KeeperFrameView.of(bytes).copy(),
};

/** struct picket_keeper_rules, 16 bytes */
export interface KeeperRules {
  version: number;
  tableBytes: number;
  rules: number;
}

export class KeeperRulesView {
  static readonly size = 16;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperRulesView {
    return new KeeperRulesView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get version(): number {
    return this.view.getUint32(this.at, little);
  }

  get tableBytes(): number {
    return this.view.getUint32(this.at + 4, little);
  }

  get rules(): number {
    return this.view.getUint32(this.at + 8, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperRules {
    return {
      version: this.version,
      tableBytes: this.tableBytes,
      rules: this.rules,
    };
  }
}

export const KeeperRules: Codec<KeeperRules> = {
  size: 16,
  encode(value) {
    const encoded = new Uint8Array(16);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_keeper_rules.version", value.version, 0, 4294967295), little);
    view.setUint32(4, setInteger("picket_keeper_rules.tableBytes", value.tableBytes, 0, 4294967295), little);
    view.setUint32(8, setInteger("picket_keeper_rules.rules", value.rules, 0, 4294967295), little);
    return encoded;
  },
  decode: bytes => KeeperRulesView.of(bytes).copy(),
};

/** struct picket_keeper_rule, 36 bytes */
export interface KeeperRule {
  action: Action;
  text: RuleText;
}

export class KeeperRuleView {
  static readonly size = 36;
  view: DataView;
  at: number;
  readonly text: RuleTextView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.text = new RuleTextView(view, at + 4);
  }

  static of(bytes: Uint8Array): KeeperRuleView {
    return new KeeperRuleView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.text.moveTo(view, at + 4);
    return this;
  }

  get action(): Action {
    return this.view.getUint8(this.at) as Action;
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperRule {
    return {
      action: this.action,
      text: this.text.copy(),
    };
  }
}

export const KeeperRule: Codec<KeeperRule> = {
  size: 36,
  encode(value) {
    const encoded = new Uint8Array(36);
    const view = viewOf(encoded);
    view.setUint8(0, setInteger("picket_keeper_rule.action", value.action, 0, 255));
    encoded.set(RuleText.encode(value.text), 4);
    return encoded;
  },
  decode: bytes => KeeperRuleView.of(bytes).copy(),
};

/** struct picket_keeper_policy, 40 bytes */
export interface KeeperPolicy {
  deadlineNs: bigint;
  stepsMax: bigint;
  failMask: number;
  workloads: number;
  bytesMax: bigint;
  consult: Consult;
  onFailure: OnFailure;
}

export class KeeperPolicyView {
  static readonly size = 40;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperPolicyView {
    return new KeeperPolicyView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get deadlineNs(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get stepsMax(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get failMask(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  get workloads(): number {
    return this.view.getUint32(this.at + 20, little);
  }

  get bytesMax(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get consult(): Consult {
    return this.view.getUint8(this.at + 32) as Consult;
  }

  get onFailure(): OnFailure {
    return this.view.getUint8(this.at + 33) as OnFailure;
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperPolicy {
    return {
      deadlineNs: this.deadlineNs,
      stepsMax: this.stepsMax,
      failMask: this.failMask,
      workloads: this.workloads,
      bytesMax: this.bytesMax,
      consult: this.consult,
      onFailure: this.onFailure,
    };
  }
}

export const KeeperPolicy: Codec<KeeperPolicy> = {
  size: 40,
  encode(value) {
    const encoded = new Uint8Array(40);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_keeper_policy.deadlineNs", value.deadlineNs, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_keeper_policy.stepsMax", value.stepsMax, 0n, 18446744073709551615n), little);
    view.setUint32(16, setInteger("picket_keeper_policy.failMask", value.failMask, 0, 4294967295), little);
    view.setUint32(20, setInteger("picket_keeper_policy.workloads", value.workloads, 0, 4294967295), little);
    view.setBigUint64(24, setBig("picket_keeper_policy.bytesMax", value.bytesMax, 0n, 18446744073709551615n), little);
    view.setUint8(32, setInteger("picket_keeper_policy.consult", value.consult, 0, 255));
    view.setUint8(33, setInteger("picket_keeper_policy.onFailure", value.onFailure, 0, 255));
    return encoded;
  },
  decode: bytes => KeeperPolicyView.of(bytes).copy(),
};

/** struct picket_keeper_workload, 8 bytes */
export interface KeeperWorkload {
  id: number;
  consult: Consult;
  onFailure: OnFailure;
}

export class KeeperWorkloadView {
  static readonly size = 8;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperWorkloadView {
    return new KeeperWorkloadView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get id(): number {
    return this.view.getUint32(this.at, little);
  }

  get consult(): Consult {
    return this.view.getUint8(this.at + 4) as Consult;
  }

  get onFailure(): OnFailure {
    return this.view.getUint8(this.at + 5) as OnFailure;
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperWorkload {
    return {
      id: this.id,
      consult: this.consult,
      onFailure: this.onFailure,
    };
  }
}

export const KeeperWorkload: Codec<KeeperWorkload> = {
  size: 8,
  encode(value) {
    const encoded = new Uint8Array(8);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_keeper_workload.id", value.id, 0, 4294967295), little);
    view.setUint8(4, setInteger("picket_keeper_workload.consult", value.consult, 0, 255));
    view.setUint8(5, setInteger("picket_keeper_workload.onFailure", value.onFailure, 0, 255));
    return encoded;
  },
  decode: bytes => KeeperWorkloadView.of(bytes).copy(),
};

/** struct picket_keeper_answer, 48 bytes */
export interface KeeperAnswer {
  hold: bigint;
  answer: Answer;
  text: RuleText;
}

export class KeeperAnswerView {
  static readonly size = 48;
  view: DataView;
  at: number;
  readonly text: RuleTextView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.text = new RuleTextView(view, at + 16);
  }

  static of(bytes: Uint8Array): KeeperAnswerView {
    return new KeeperAnswerView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.text.moveTo(view, at + 16);
    return this;
  }

  get hold(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get answer(): Answer {
    return this.view.getUint8(this.at + 8) as Answer;
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperAnswer {
    return {
      hold: this.hold,
      answer: this.answer,
      text: this.text.copy(),
    };
  }
}

export const KeeperAnswer: Codec<KeeperAnswer> = {
  size: 48,
  encode(value) {
    const encoded = new Uint8Array(48);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_keeper_answer.hold", value.hold, 0n, 18446744073709551615n), little);
    view.setUint8(8, setInteger("picket_keeper_answer.answer", value.answer, 0, 255));
    encoded.set(RuleText.encode(value.text), 16);
    return encoded;
  },
  decode: bytes => KeeperAnswerView.of(bytes).copy(),
};

/** struct picket_keeper_hello, 24 bytes */
export interface KeeperHello {
  abi: number;
  pid: number;
  judges: number;
  severed: number;
  notSevered: number;
}

export class KeeperHelloView {
  static readonly size = 24;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperHelloView {
    return new KeeperHelloView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get abi(): number {
    return this.view.getUint32(this.at, little);
  }

  get pid(): number {
    return this.view.getUint32(this.at + 4, little);
  }

  get judges(): number {
    return this.view.getUint32(this.at + 8, little);
  }

  get severed(): number {
    return this.view.getUint32(this.at + 12, little);
  }

  get notSevered(): number {
    return this.view.getUint32(this.at + 16, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperHello {
    return {
      abi: this.abi,
      pid: this.pid,
      judges: this.judges,
      severed: this.severed,
      notSevered: this.notSevered,
    };
  }
}

export const KeeperHello: Codec<KeeperHello> = {
  size: 24,
  encode(value) {
    const encoded = new Uint8Array(24);
    const view = viewOf(encoded);
    view.setUint32(0, setInteger("picket_keeper_hello.abi", value.abi, 0, 4294967295), little);
    view.setUint32(4, setInteger("picket_keeper_hello.pid", value.pid, 0, 4294967295), little);
    view.setUint32(8, setInteger("picket_keeper_hello.judges", value.judges, 0, 4294967295), little);
    view.setUint32(12, setInteger("picket_keeper_hello.severed", value.severed, 0, 4294967295), little);
    view.setUint32(16, setInteger("picket_keeper_hello.notSevered", value.notSevered, 0, 4294967295), little);
    return encoded;
  },
  decode: bytes => KeeperHelloView.of(bytes).copy(),
};

/** struct picket_keeper_held, 224 bytes */
export interface KeeperHeld {
  hold: bigint;
  heldNs: bigint;
  held: Held;
  rule: number;
  met: number;
  textBytes: number;
  outcome: Outcome;
  because: Because;
  guarantee: Guarantee;
  text: Uint8Array;
}

export class KeeperHeldView {
  static readonly size = 224;
  view: DataView;
  at: number;
  readonly held: HeldView;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
    this.held = new HeldView(view, at + 16);
  }

  static of(bytes: Uint8Array): KeeperHeldView {
    return new KeeperHeldView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    this.held.moveTo(view, at + 16);
    return this;
  }

  get hold(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get heldNs(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get rule(): number {
    return this.view.getUint32(this.at + 208, little);
  }

  get met(): number {
    return this.view.getUint32(this.at + 212, little);
  }

  get textBytes(): number {
    return this.view.getUint32(this.at + 216, little);
  }

  get outcome(): Outcome {
    return this.view.getUint8(this.at + 220) as Outcome;
  }

  get because(): Because {
    return this.view.getUint8(this.at + 221) as Because;
  }

  get guarantee(): Guarantee {
    return this.view.getUint8(this.at + 222) as Guarantee;
  }

  get text(): Uint8Array {
    return bytes(this.view, this.at + 224, this.textBytes);
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperHeld {
    return {
      hold: this.hold,
      heldNs: this.heldNs,
      held: this.held.copy(),
      rule: this.rule,
      met: this.met,
      textBytes: this.textBytes,
      outcome: this.outcome,
      because: this.because,
      guarantee: this.guarantee,
      text: this.text.slice(),
    };
  }
}

/** struct picket_keeper_result, 40 bytes */
export interface KeeperResult {
  hold: bigint;
  heldNs: bigint;
  cookie: bigint;
  statement: bigint;
  outcome: Outcome;
  because: Because;
  guarantee: Guarantee;
}

export class KeeperResultView {
  static readonly size = 40;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperResultView {
    return new KeeperResultView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get hold(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get heldNs(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get cookie(): bigint {
    return this.view.getBigUint64(this.at + 16, little);
  }

  get statement(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get outcome(): Outcome {
    return this.view.getUint8(this.at + 32) as Outcome;
  }

  get because(): Because {
    return this.view.getUint8(this.at + 33) as Because;
  }

  get guarantee(): Guarantee {
    return this.view.getUint8(this.at + 34) as Guarantee;
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperResult {
    return {
      hold: this.hold,
      heldNs: this.heldNs,
      cookie: this.cookie,
      statement: this.statement,
      outcome: this.outcome,
      because: this.because,
      guarantee: this.guarantee,
    };
  }
}

export const KeeperResult: Codec<KeeperResult> = {
  size: 40,
  encode(value) {
    const encoded = new Uint8Array(40);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_keeper_result.hold", value.hold, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_keeper_result.heldNs", value.heldNs, 0n, 18446744073709551615n), little);
    view.setBigUint64(16, setBig("picket_keeper_result.cookie", value.cookie, 0n, 18446744073709551615n), little);
    view.setBigUint64(24, setBig("picket_keeper_result.statement", value.statement, 0n, 18446744073709551615n), little);
    view.setUint8(32, setInteger("picket_keeper_result.outcome", value.outcome, 0, 255));
    view.setUint8(33, setInteger("picket_keeper_result.because", value.because, 0, 255));
    view.setUint8(34, setInteger("picket_keeper_result.guarantee", value.guarantee, 0, 255));
    return encoded;
  },
  decode: bytes => KeeperResultView.of(bytes).copy(),
};

/** struct picket_keeper_stats, 104 bytes */
export interface KeeperStats {
  held: bigint;
  released: bigint;
  substituted: bigint;
  killed: bigint;
  timedOut: bigint;
  unjudged: bigint;
  bytes: bigint;
  strays: bigint;
  untold: bigint;
  broken: bigint;
  waiting: bigint;
  queuedBytes: bigint;
  connections: bigint;
}

export class KeeperStatsView {
  static readonly size = 104;
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  static of(bytes: Uint8Array): KeeperStatsView {
    return new KeeperStatsView(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
    return this;
  }

  get held(): bigint {
    return this.view.getBigUint64(this.at, little);
  }

  get released(): bigint {
    return this.view.getBigUint64(this.at + 8, little);
  }

  get substituted(): bigint {
    return this.view.getBigUint64(this.at + 16, little);
  }

  get killed(): bigint {
    return this.view.getBigUint64(this.at + 24, little);
  }

  get timedOut(): bigint {
    return this.view.getBigUint64(this.at + 32, little);
  }

  get unjudged(): bigint {
    return this.view.getBigUint64(this.at + 40, little);
  }

  get bytes(): bigint {
    return this.view.getBigUint64(this.at + 48, little);
  }

  get strays(): bigint {
    return this.view.getBigUint64(this.at + 56, little);
  }

  get untold(): bigint {
    return this.view.getBigUint64(this.at + 64, little);
  }

  get broken(): bigint {
    return this.view.getBigUint64(this.at + 72, little);
  }

  get waiting(): bigint {
    return this.view.getBigUint64(this.at + 80, little);
  }

  get queuedBytes(): bigint {
    return this.view.getBigUint64(this.at + 88, little);
  }

  get connections(): bigint {
    return this.view.getBigUint64(this.at + 96, little);
  }

  /** Everything, taken out of the bytes. */
  copy(): KeeperStats {
    return {
      held: this.held,
      released: this.released,
      substituted: this.substituted,
      killed: this.killed,
      timedOut: this.timedOut,
      unjudged: this.unjudged,
      bytes: this.bytes,
      strays: this.strays,
      untold: this.untold,
      broken: this.broken,
      waiting: this.waiting,
      queuedBytes: this.queuedBytes,
      connections: this.connections,
    };
  }
}

export const KeeperStats: Codec<KeeperStats> = {
  size: 104,
  encode(value) {
    const encoded = new Uint8Array(104);
    const view = viewOf(encoded);
    view.setBigUint64(0, setBig("picket_keeper_stats.held", value.held, 0n, 18446744073709551615n), little);
    view.setBigUint64(8, setBig("picket_keeper_stats.released", value.released, 0n, 18446744073709551615n), little);
    view.setBigUint64(16, setBig("picket_keeper_stats.substituted", value.substituted, 0n, 18446744073709551615n), little);
    view.setBigUint64(24, setBig("picket_keeper_stats.killed", value.killed, 0n, 18446744073709551615n), little);
    view.setBigUint64(32, setBig("picket_keeper_stats.timedOut", value.timedOut, 0n, 18446744073709551615n), little);
    view.setBigUint64(40, setBig("picket_keeper_stats.unjudged", value.unjudged, 0n, 18446744073709551615n), little);
    view.setBigUint64(48, setBig("picket_keeper_stats.bytes", value.bytes, 0n, 18446744073709551615n), little);
    view.setBigUint64(56, setBig("picket_keeper_stats.strays", value.strays, 0n, 18446744073709551615n), little);
    view.setBigUint64(64, setBig("picket_keeper_stats.untold", value.untold, 0n, 18446744073709551615n), little);
    view.setBigUint64(72, setBig("picket_keeper_stats.broken", value.broken, 0n, 18446744073709551615n), little);
    view.setBigUint64(80, setBig("picket_keeper_stats.waiting", value.waiting, 0n, 18446744073709551615n), little);
    view.setBigUint64(88, setBig("picket_keeper_stats.queuedBytes", value.queuedBytes, 0n, 18446744073709551615n), little);
    view.setBigUint64(96, setBig("picket_keeper_stats.connections", value.connections, 0n, 18446744073709551615n), little);
    return encoded;
  },
  decode: bytes => KeeperStatsView.of(bytes).copy(),
};

const little = true;
const decoder = new TextDecoder();

function text(view: DataView, at: number, max: number): string {
  let result = "";
  for (let index = 0; index < max; index++) {
    const byte = view.getUint8(at + index);
    if (byte === 0) return result;
    if (byte > 0x7f) return wideText(view, at, max);
    result += String.fromCharCode(byte);
  }
  return result;
}

function wideText(view: DataView, at: number, max: number): string {
  const all = bytes(view, at, max);
  const end = all.indexOf(0);
  return decoder.decode(end < 0 ? all : all.subarray(0, end));
}

function setText(view: DataView, at: number, max: number, value: string): void {
  const encoded = new TextEncoder().encode(value);
  // The last byte stays zero, as every reader in C expects.
  if (encoded.length >= max) throw new RangeError(`"${value}" is longer than ${max - 1} bytes`);
  bytes(view, at, max).set(encoded);
}

function bytes(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

function setBytes(view: DataView, at: number, length: number, value: Uint8Array): void {
  if (value.length !== length) throw new RangeError(`${length} bytes wanted, ${value.length} given`);
  bytes(view, at, length).set(value);
}

function setInteger(name: string, value: number, min: number, max: number): number {
  // DataView would wrap silently: a share of 70,000 in 16 bits must not become 4,464.
  if (!Number.isInteger(value) || value < min || value > max)
    throw new RangeError(`${name}: ${value} is not an integer from ${min} to ${max}`);
  return value;
}

function setBig(name: string, value: bigint, min: bigint, max: bigint): bigint {
  if (value < min || value > max) throw new RangeError(`${name}: ${value} does not fit`);
  return value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
