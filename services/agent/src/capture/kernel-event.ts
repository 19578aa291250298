/**
 * What the kernel tells, in the agent's own words: the generated decoders' fields with the numbers of event.h turned
 * into names, and nothing that points into the ring. capture/decode.ts makes them; everything behind it is plain data.
 */
import type { Endpoints } from "@picket/shared/detection";
import type { Action, Dialect, Guarantee, Verdict, WorkloadMode } from "@picket/shared/vocabulary";
import type { Notice } from "../connections/guarantee.ts";

export type KernelProcess = { pid: number; tid: number; comm: string; cgroupId: bigint; startNs: bigint };

export type ConnectionReason =
  | "established"
  | "closed"
  | "retransmit"
  | "recognised"
  | "adopted"
  | "refused"
  | "killed";

export type ConnectionEvent = {
  kind: "connection";
  cookie: bigint;
  reason: ConnectionReason;
  notice: Notice;
  process: KernelProcess;
  endpoints: Endpoints;
  dialect: Dialect | null;
  /** PROTOCOL_TLS: of a database, but encrypted. */
  encrypted: boolean;
  connectFailed: boolean;
  adopted: boolean;
  enrolled: boolean;
  mode: WorkloadMode;
  workload: number;
  statements: number;
};

export type StatementFragment = {
  kind: "statement";
  cookie: bigint;
  /** Counts up per connection. */
  statement: bigint;
  /** 0: never known, or not the last fragment. */
  fingerprint: bigint;
  /** Of the connection: what its profile says of a shape is known to the kernel by fingerprint ^ scope. */
  scope: bigint;
  incident: bigint;
  process: KernelProcess;
  endpoints: Endpoints;
  workload: number;
  /** Ordinal of the rule version that judged it. */
  version: number;
  slot: number;
  dialect: Dialect;
  message: "query" | "prepare" | "function-call";
  /** enum sql_danger bits. */
  danger: number;
  /** enum sql_session bits. */
  session: number;
  fragment: number;
  first: boolean;
  last: boolean;
  /** Valid only while its batch is handled: copy what is kept. */
  text: Buffer;
  textOffset: number;
  /** Of the whole statement; 0 until its last fragment. */
  statementBytes: number;
  verdict: Verdict | "unknown";
  action: Action;
  guarantee: Guarantee;
  /** Index into the version's rules; null: none. */
  rule: number | null;
  substituted: boolean;
  adopted: boolean;
  /** A use that the kernel knew, and shows to be compared. */
  sampled: boolean;
};

/** Who logged in where; only of connections that were seen from their first byte. */
export type LoginEvent = {
  kind: "login";
  cookie: bigint;
  user: string;
  /** Null where the login named none. */
  database: string | null;
};

export type KernelEvent = ConnectionEvent | StatementFragment | LoginEvent;
