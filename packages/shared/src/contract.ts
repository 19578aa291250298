/**
 * The messages between node and control plane ("contract"; bytes between application and database are
 * "wire"). All under /v1/agent except enrolment. Every call after enrolment carries
 * `Authorization: Bearer <EdDSA JWT>` (RFC 8037): iss = sub = node id, aud = "picket", exp ≤ 60 s after iat,
 * a fresh jti, signed by the key made on the node.
 *
 * | call | who answers | |
 * |---|---|---|
 * | POST /v1/enrol                      | API     | join token → node id |
 * | GET  /v1/agent/assignments?wait=25  | gateway | long poll; 200 Lease, ReportNotice or 204; with &verdicts=N also VerdictNotice |
 * | POST /v1/agent/assignments/:id/ack  | gateway | ends the lease |
 * | GET  /v1/agent/desired              | API     | reconcile on a timer: what this node should run |
 * | GET  /v1/agent/bundles/:digest      | API     | Envelope; immutable |
 * | GET  /v1/agent/objects/:digest      | API     | eBPF object bytes; immutable |
 * | GET  /v1/agent/trust?after=N        | API     | TrustChain: release keys since root N |
 * | POST /v1/agent/key                 | API     | KeyRotation: the node's next key |
 * | POST /v1/agent/report               | API     | Report: installed state, connections, losses → Pace |
 * | POST /v1/agent/events               | API     | EventBatch, idempotent by event id |
 * | POST /v1/agent/shapes               | API     | ShapeBatch: what was used how often, idempotent by epoch |
 * | POST /v1/agent/twins                | API     | TwinReport: what a twin would judge otherwise, idempotent by epoch |
 * | POST /v1/agent/claims               | API     | ClaimBatch: what this node judged hostile |
 * | GET  /v1/agent/verdicts?after=N     | API     | SharedVerdictFeed: what other nodes did (docs/immunity.md) |
 * | POST /v1/agent/verdicts/answers     | API     | VerdictAnswers: which of them it believes |
 * | POST /v1/agent/profiles             | API     | ProfileOffer: what a workload was learned to send, for review |
 * | GET  /v1/agent/profiles?workloads=  | API     | SignedProfileList: what was reviewed and signed for them |
 * | GET  /v1/agent/profiles/:digest     | API     | SignedProfileEnvelope; immutable |
 */
import { z } from "zod";
import { ReleaseKey } from "./bundle-format.ts";
import { Detection, Endpoints, Process } from "./detection.ts";
import {
  AssignmentId,
  BundleDigest,
  NodeId,
  RolloutId,
  RuleSetName,
  RuleVersion,
  ShapeDigest,
} from "./ids.ts";
import { ImmunityReport, VerdictNotice } from "./immunity.ts";
import { Pace } from "./pace.ts";
import { AdoptedProfile } from "./profile.ts";
import { SHAPE_TEXT_MAX } from "./shape.ts";
import { Trust, TrustEnvelope } from "./trust-format.ts";
import { Dialect, Guarantee, Labels, WorkloadMode } from "./vocabulary.ts";

export const NODE_TOKEN_AUDIENCE = "picket";
export const NODE_TOKEN_LIFETIME_S = 60;

export const EnrolRequest = z.strictObject({
  joinToken: z.string().min(1).max(200),
  /** base64url of the 32 raw bytes of the node's Ed25519 public key. */
  publicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  hostname: z.string().min(1).max(253),
  labels: Labels.default({}),
  kernel: z.string().max(200),
  agentVersion: z.string().max(50),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;

export const EnrolResponse = z.strictObject({
  node: NodeId,
  /** Pinned by the node from now on. */
  releaseKeys: z.array(ReleaseKey),
  /** The root that they are of (trust-format.ts). */
  trust: Trust.pick({ version: true, threshold: true }).default({ version: 0, threshold: 1 }),
});
export type EnrolResponse = z.infer<typeof EnrolResponse>;

/** A node's next key. The call itself is signed by the one before. */
export const KeyRotation = z.strictObject({
  publicKey: EnrolRequest.shape.publicKey,
  /** base64url of the new key's signature over `keyRotationMessage`. */
  proof: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
});
export type KeyRotation = z.infer<typeof KeyRotation>;

export const keyRotationMessage = (node: NodeId, publicKey: string): string =>
  `picket node key\n${node}\n${publicKey}\n`;

/** What a node should run of one rule set. */
export const Assignment = z.strictObject({
  id: AssignmentId,
  /** Counts up per node and rule set: a later one replaces an earlier one, an earlier one is ignored. */
  generation: z.int().min(1),
  ruleSet: RuleSetName,
  version: RuleVersion,
  bundle: BundleDigest,
  /** Null: not by a rollout (first assignment of an enrolled node to the stable version). */
  rollout: RolloutId.nullable(),
  /** Of 10,000 processes inside the node judged by this version; the rest by what was stable. */
  share: z.int().min(0).max(10_000).default(10_000),
  scope: z.enum(["all", "new-processes"]).default("all"),
  /**
   * `twin`: this version judges the same statements beside what is stable, which alone enforces. Sent only when it
   * is one, so that an agent that does not know it refuses the message rather than enforce.
   */
  mode: z.literal("twin").optional(),
  /** Of a twin: what is to enforce beside it; null: nothing of this rule set. */
  beside: z.strictObject({ version: RuleVersion, bundle: BundleDigest }).nullable().optional(),
});
export type Assignment = z.infer<typeof Assignment>;

export const Lease = z.strictObject({
  assignment: Assignment,
  /** Not acknowledged by then: delivered again. */
  leaseExpiresAt: z.iso.datetime(),
});
export type Lease = z.infer<typeof Lease>;

/** A long poll ended because the node is watched from now on: it reports at once, and hears at what pace to go on. */
export const ReportNotice = z.strictObject({ report: z.literal(true) });
export type ReportNotice = z.infer<typeof ReportNotice>;

/** What ends a long poll; a notice of verdicts only for an agent that says how far it has read them. */
export const Polled = z.union([Lease, VerdictNotice, ReportNotice]);
export type Polled = z.infer<typeof Polled>;

export const Desired = z.strictObject({
  assignments: z.array(Assignment),
  /** The newest root of trust; sent only when there is one. */
  trust: z.int().min(1).optional(),
});
export type Desired = z.infer<typeof Desired>;

/** The roots after the one that the node knows, in order; it believes none of them before it has followed it. */
export const TrustChain = z.strictObject({ items: z.array(TrustEnvelope).max(100) });
export type TrustChain = z.infer<typeof TrustChain>;

export const RefusalCode = z.enum([
  "malformed",
  "unsigned",
  "foreign-key",
  "tampered",
  "too-few-signatures",
  "expired",
  "below-floor",
  "wrong-abi",
  "kernel-too-old",
  "download-failed",
  "compile-failed",
  "verifier-refused",
  /** Not the program's fault: no memory, no permission. It is tried again. */
  "load-failed",
  "self-test-failed",
  "switch-failed",
  /** This agent cannot run what was assigned. */
  "unsupported",
]);
export type RefusalCode = z.infer<typeof RefusalCode>;

/** What really runs, as the node says. */
export const Installed = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("active"),
    ruleSet: RuleSetName,
    version: RuleVersion,
    bundle: BundleDigest,
    assignment: AssignmentId.nullable(),
    generation: z.int().min(0),
    share: z.int().min(0).max(10_000),
    slot: z.int(),
    /** It judges and enforces nothing; what does is this version, or none of the rule set. The slot is that one's. */
    twin: z.strictObject({ beside: RuleVersion.nullable() }).optional(),
    since: z.iso.datetime(),
  }),
  z.strictObject({
    kind: z.literal("kept-last-good"),
    ruleSet: RuleSetName,
    /** What still enforces; null when there is none yet. */
    version: RuleVersion.nullable(),
    refused: RuleVersion,
    assignment: AssignmentId.nullable(),
    generation: z.int().min(0),
    because: z.strictObject({ code: RefusalCode, detail: z.string().max(4_000) }),
    since: z.iso.datetime(),
  }),
]);
export type Installed = z.infer<typeof Installed>;

/** One database connection as it is now, with its guarantee or why it is unseen. */
export const ConnectionState = z.strictObject({
  endpoints: Endpoints.optional(),
  /** For what has no TCP endpoints. */
  path: z.string().max(4_096).optional(),
  dialect: Dialect.nullable(),
  process: Process,
  mode: WorkloadMode,
  guarantee: Guarantee,
  why: z.string().max(300),
});
export type ConnectionState = z.infer<typeof ConnectionState>;

/** What the databases answered to the statements that one version judged. Totals since the slot was loaded. */
export const Responses = z.strictObject({
  ok: z.int().min(0),
  errors: z.int().min(0),
  /**
   * By time to the first byte: entry i counts [2^i, 2^(i+1)) µs, the last entry what is above, too. A sample: of each
   * connection the statements that come three ticks of the kernel (12 ms at 250 a second), or sixteen statements, after
   * the last one in it.
   */
  latencyLog2Us: z.array(z.int().min(0)).min(1).max(40),
});
export type Responses = z.infer<typeof Responses>;

/** Counted by version: which one judged each statement. Totals since the slot was loaded. */
export const VersionCounters = z.strictObject({
  ruleSet: RuleSetName,
  version: RuleVersion,
  statements: z.int(),
  known: z.int(),
  unknown: z.int(),
  neverKnown: z.int(),
  blocked: z.int(),
  severed: z.int(),
  wouldBlock: z.int(),
  /** Absent: this agent does not see responses. The gate then says that it cannot compare them. */
  responses: Responses.optional(),
});
export type VersionCounters = z.infer<typeof VersionCounters>;

export const LocalOverride = z.strictObject({
  shape: z.string(),
  action: z.enum(["allow", "observe", "alert", "block"]),
  reason: z.string().max(500),
  expiresAt: z.iso.datetime(),
});
export type LocalOverride = z.infer<typeof LocalOverride>;

export const Report = z.strictObject({
  at: z.iso.datetime(),
  /** Where it stands among the node's reports; absent: it is taken in whenever it comes. */
  order: z
    .strictObject({
      /** Drawn when the agent starts. */
      epoch: z.uuid(),
      /** Grows with every report of the epoch. */
      sequence: z.int().min(1),
    })
    .optional(),
  agentVersion: z.string().max(50),
  kernel: z.string().max(200),
  labels: Labels,
  /** The root of trust that it goes by; absent: 0. */
  trust: z.int().min(0).optional(),
  installed: z.array(Installed).max(16),
  counters: z.array(VersionCounters).max(32),
  /** kernel-emitted = stored + counted-lost, per node: totals since the agent started. */
  events: z.strictObject({
    emitted: z.int(),
    received: z.int(),
    lost: z.int(),
    spooled: z.int(),
    uploaded: z.int(),
  }),
  /** By name of enum picket_loss, lower-case; only those above zero. */
  losses: z.record(z.string(), z.int()),
  shapesLearned: z.int(),
  connections: z.array(ConnectionState).max(500),
  connectionsTotal: z.int(),
  /** Connections by guarantee. */
  guarantees: z.partialRecord(Guarantee, z.int()),
  overrides: z.array(LocalOverride).max(100),
  agent: z.strictObject({ residentBytes: z.int(), cpuSeconds: z.number(), uptimeSeconds: z.number() }),
  /** What became of statements that waited for their judgement, since the keeper started; absent: none runs. */
  held: z
    .strictObject({
      held: z.int(),
      released: z.int(),
      substituted: z.int(),
      killed: z.int(),
      /** No answer before the deadline. */
      timedOut: z.int(),
      /** Nobody was there to judge. */
      unjudged: z.int(),
      restarts: z.int(),
    })
    .optional(),
  /** Shared verdicts; absent: this agent takes no part. */
  immunity: ImmunityReport.optional(),
  /** Of the statements that the kernel knew, those that were read again here; absent: none yet. */
  compared: z
    .strictObject({
      same: z.int(),
      /** Another shape than what is known by its fingerprint: each is an alert. */
      other: z.int(),
      /** Nothing was there to compare with. */
      unmatched: z.int(),
    })
    .optional(),
  /** What became of the signed profiles of its workloads. */
  signedProfiles: z.array(AdoptedProfile).max(256).optional(),
  /** What this kernel lacks, in plain words. */
  missing: z.array(z.string().max(300)).max(32),
});
export type Report = z.infer<typeof Report>;

/** Without it an agent keeps its pace. */
export const ReportAnswer = z.strictObject({ pace: Pace });
export type ReportAnswer = z.infer<typeof ReportAnswer>;

export const EventBatch = z.strictObject({ events: z.array(Detection).min(1).max(1_000) });
export type EventBatch = z.infer<typeof EventBatch>;

/** Which of the batch's events are committed now; a duplicate counts as committed. */
export const EventBatchResponse = z.strictObject({ committed: z.int(), duplicates: z.int() });
export type EventBatchResponse = z.infer<typeof EventBatchResponse>;

/** A shape that this node has seen (docs/fingerprint.md); its text holds no literal. */
export const ShapeUse = z.strictObject({
  shape: ShapeDigest,
  dialect: Dialect,
  text: z.string().min(1).max(SHAPE_TEXT_MAX),
  /** Whose statement it was first on this node. */
  workload: z.string().max(255),
  /** Since the epoch began; a total and no difference, so that a batch sent twice counts once. */
  uses: z.int().min(0),
});
export type ShapeUse = z.infer<typeof ShapeUse>;

export const ShapeBatch = z.strictObject({
  /** Drawn when the agent starts: its totals begin anew. */
  epoch: z.uuid(),
  shapes: z.array(ShapeUse).min(1).max(1_000),
});
export type ShapeBatch = z.infer<typeof ShapeBatch>;

/** Refused are those whose digest is not that of their text. */
export const ShapeBatchResponse = z.strictObject({ stored: z.int(), refused: z.int() });
export type ShapeBatchResponse = z.infer<typeof ShapeBatchResponse>;

/** RFC 9457 problem details with a code that a `switch` can narrow. */
export const Problem = z.object({
  type: z.string().default("about:blank"),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string().optional(),
});
export type Problem = z.infer<typeof Problem>;
