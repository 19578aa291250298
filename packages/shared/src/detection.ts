/** What a node reports up: a tagged union from the first migration on. SQL in it is redacted on the node. */
import { z } from "zod";
import { EventId, RuleSetName, RuleVersion, ShapeDigest } from "./ids.ts";
import { Action, Dialect, Guarantee, Priority, Verdict } from "./vocabulary.ts";

export const Process = z.strictObject({
  pid: z.int(),
  comm: z.string().max(64),
  executable: z.string().max(4_096).optional(),
  /** Path below the cgroup2 mount, or of the v1 hierarchy where that says more. */
  cgroup: z.string().max(4_096).optional(),
  workload: z.string().max(255).optional(),
});
export type Process = z.infer<typeof Process>;

export const Endpoints = z.strictObject({
  localAddress: z.string(),
  localPort: z.int(),
  remoteAddress: z.string(),
  remotePort: z.int(),
});
export type Endpoints = z.infer<typeof Endpoints>;

const common = {
  id: EventId,
  at: z.iso.datetime(),
  priority: Priority,
  /** Equal keys are one cause: alerts and tickets are deduplicated by it. */
  causalKey: z.string().min(1).max(255),
};

/** What stage of the judge spoke; `kernel` knew the verdict already. */
export const Stage = z.enum(["kernel", "token-rules", "shape", "drift", "ast"]);
export type Stage = z.infer<typeof Stage>;

/** The guilty part of a statement. */
export const Evidence = z.strictObject({
  rule: z.string().max(64),
  stage: Stage,
  /** Characters [start, end) of the detection's `sql`. */
  start: z.int().min(0),
  end: z.int().min(0),
  /** Where tokens were spliced into a learned template: the template, without literals, cut to 2 KiB … */
  template: z.string().max(2_048).optional(),
  /** … characters [start, end) of it that they replaced … */
  replaced: z.tuple([z.int().min(0), z.int().min(0)]).optional(),
  /** … and the tokens themselves, without literals. */
  inserted: z.string().max(2_048).optional(),
});
export type Evidence = z.infer<typeof Evidence>;

export const StatementDetection = z.strictObject({
  ...common,
  kind: z.literal("statement"),
  verdict: Verdict,
  action: Action,
  guarantee: Guarantee,
  dialect: Dialect,
  message: z.enum(["query", "prepare", "function-call"]),
  /** Literals redacted; at most 4 KiB. */
  sql: z.string().max(4_096),
  shape: ShapeDigest.optional(),
  rules: z.array(z.string()).max(32),
  danger: z.array(z.string()).max(32),
  stage: Stage,
  /** Most telling first. */
  evidence: z.array(Evidence).max(8).optional(),
  ruleSet: RuleSetName.optional(),
  version: RuleVersion.optional(),
  slot: z.int().optional(),
  process: Process,
  endpoints: Endpoints,
  connection: z.string(),
  /** Of the connection's login, where it was seen. */
  user: z.string().max(255).optional(),
  database: z.string().max(255).optional(),
  /** True where the process only judged and passed because its workload is observed. */
  wouldBlock: z.boolean().default(false),
  /** Further statements of the same shape, rule and process folded into this one. */
  count: z.int().min(1).default(1),
});
export type StatementDetection = z.infer<typeof StatementDetection>;

export const ConnectionDetection = z.strictObject({
  ...common,
  kind: z.literal("connection"),
  what: z.enum(["unseen", "refused", "reset", "framing-lost", "local-override", "shape-mismatch"]),
  why: z.string().max(500),
  process: Process.optional(),
  endpoints: Endpoints.optional(),
});
export type ConnectionDetection = z.infer<typeof ConnectionDetection>;

export const Certificate = z.strictObject({
  subject: z.string().max(1_024),
  issuer: z.string().max(1_024),
  serial: z.string().max(128),
  /** SHA-256 of the DER. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  notBefore: z.iso.datetime(),
  notAfter: z.iso.datetime(),
  names: z.array(z.string().max(255)).max(100),
});
export type Certificate = z.infer<typeof Certificate>;

const endpoint = { host: z.string(), port: z.int(), dialect: Dialect };

export const HandshakeDetection = z.strictObject({
  ...common,
  kind: z.literal("handshake"),
  ...endpoint,
  error: z.string().max(500),
  certificate: Certificate.optional(),
});
export type HandshakeDetection = z.infer<typeof HandshakeDetection>;

/** State, not an incident: sent when it changes; priority null means healthy and resolves the alert. */
export const CertificateDetection = z.strictObject({
  ...common,
  kind: z.literal("certificate"),
  priority: Priority.nullable(),
  ...endpoint,
  /** Absent when the handshake failed before a certificate was seen. */
  certificate: Certificate.optional(),
  /** The handshake that showed it verified and completed. */
  handshake: z.enum(["succeeded", "failed"]),
  error: z.string().max(500).optional(),
});
export type CertificateDetection = z.infer<typeof CertificateDetection>;

export const Detection = z.discriminatedUnion("kind", [
  StatementDetection,
  ConnectionDetection,
  HandshakeDetection,
  CertificateDetection,
]);
export type Detection = z.infer<typeof Detection>;
