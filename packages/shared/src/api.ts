/**
 * What people and machines ask of the control plane (the console and the CLI use the same routes). All under
 * /v1 with `Authorization: Bearer pkt_…` or the console's session cookie. Lists answer
 * `{items, nextCursor}`; errors are `Problem`s (contract.ts).
 *
 * GET /v1/nodes · GET|DELETE /v1/nodes/:id · GET|POST /v1/join-tokens · DELETE /v1/join-tokens/:id
 * GET|POST /v1/rule-sets/:name/versions · GET /v1/rule-sets · GET /v1/rule-sets/:name/versions/:version
 * PUT /v1/objects/:digest · GET|POST /v1/release-keys · GET|POST /v1/trust
 * GET|POST /v1/rollouts · GET /v1/rollouts/:id · GET /v1/rollouts/:id/decisions/:decision
 * POST /v1/rollouts/:id/{pause,resume,promote,approve,abort,rollback}
 * GET|POST|DELETE /v1/emergency-stop · GET|POST /v1/freezes · DELETE /v1/freezes/:id
 * GET /v1/detections?since=&node=&limit= · GET /v1/detections/stream (text/event-stream of DetectionRow)
 * GET /v1/certificates · GET /v1/alerts?state= · GET /v1/alerts/:id · POST /v1/alerts/:id/ack
 * GET|POST /v1/webhooks · DELETE /v1/webhooks/:id · GET /v1/deliveries · POST /v1/deliveries/:id/resend
 * GET /v1/profiles/offers · GET /v1/profiles/offers/:id · GET|POST /v1/profiles
 * GET /v1/immunity · POST|DELETE /v1/immunity/stop
 * GET /v1/immunity/verdicts?state= · GET|DELETE /v1/immunity/verdicts/:id
 * GET /v1/tickets · GET /v1/audit · GET /v1/audit/verify
 * GET|POST /v1/api-tokens · DELETE /v1/api-tokens/:id
 * GET /v1/policies · PUT|DELETE /v1/policies/:policy
 * POST /v1/session (SessionRequest → cookie and Me) · DELETE /v1/session
 * GET /v1/sso · GET /v1/sso/login · GET /v1/sso/callback · POST /v1/sso/token
 * GET /v1/me · GET /healthz · GET /readyz · GET /metrics · GET /openapi.json
 */
import { z } from "zod";
import { Backtest } from "./backtest.ts";
import { Delegation, Envelope, ReleaseKey } from "./bundle-format.ts";
import { ConnectionState, Installed, LocalOverride, VersionCounters } from "./contract.ts";
import { Certificate, CertificateDetection, Detection } from "./detection.ts";
import {
  AlertId,
  BundleDigest,
  NodeId,
  ObjectDigest,
  RolloutId,
  RuleSetName,
  RuleVersion,
  ShapeDigest,
  SharedVerdictId,
} from "./ids.ts";
import { DisbeliefCode, ImmunityReport } from "./immunity.ts";
import {
  AdoptedProfile,
  ProfileExport,
  ProfileIdentity,
  SignedProfileRef,
  TemplateExport,
} from "./profile.ts";
import { TwinDifference, TwinFigures } from "./twin.ts";
import { Dialect, Duration, Guarantee, Labels, Priority } from "./vocabulary.ts";

export const page = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

export const Node = z.object({
  id: NodeId,
  hostname: z.string(),
  labels: Labels,
  kernel: z.string(),
  agentVersion: z.string(),
  enrolledAt: z.iso.datetime(),
  /** Since when it has the key that it signs with. */
  keySince: z.iso.datetime(),
  /** The root of trust that it goes by. */
  trust: z.int(),
  lastSeenAt: z.iso.datetime().nullable(),
  online: z.boolean(),
  /** Its key is refused since then, until it is released. */
  quarantinedAt: z.iso.datetime().optional(),
  installed: z.array(Installed),
  guarantees: z.partialRecord(Guarantee, z.int()),
  connectionsTotal: z.int(),
  eventsLost: z.int(),
  shapesLearned: z.int(),
});
export type Node = z.infer<typeof Node>;

export const NodeDetails = Node.extend({
  connections: z.array(ConnectionState),
  counters: z.array(VersionCounters),
  losses: z.record(z.string(), z.int()),
  overrides: z.array(LocalOverride),
  /** Its part in shared verdicts; null: none. */
  immunity: ImmunityReport.nullable(),
  signedProfiles: z.array(AdoptedProfile),
  missing: z.array(z.string()),
  residentBytes: z.int().nullable(),
});
export type NodeDetails = z.infer<typeof NodeDetails>;

export const QuarantineRequest = z.strictObject({ reason: z.string().min(1).max(500) });
export type QuarantineRequest = z.infer<typeof QuarantineRequest>;

export const JoinTokenRequest = z.strictObject({
  labels: Labels.default({}),
  usesMax: z.int().min(1).max(100_000).default(1),
  ttl: Duration.default("1h"),
});
export type JoinTokenRequest = z.infer<typeof JoinTokenRequest>;

export const JoinToken = z.object({
  id: z.uuid(),
  /** Shown once, when it is created. */
  token: z.string().optional(),
  labels: Labels,
  usesMax: z.int(),
  uses: z.int(),
  expiresAt: z.iso.datetime(),
});
export type JoinToken = z.infer<typeof JoinToken>;

export const RuleVersionRow = z.object({
  ruleSet: RuleSetName,
  version: RuleVersion,
  bundle: BundleDigest,
  signedBy: z.array(z.string()),
  floor: z.int(),
  expiresAt: z.iso.datetime(),
  pushedAt: z.iso.datetime(),
  pushedBy: z.string(),
});
export type RuleVersionRow = z.infer<typeof RuleVersionRow>;

export const RuleVersionDetails = RuleVersionRow.extend({ ruleText: z.string(), envelope: Envelope });
export type RuleVersionDetails = z.infer<typeof RuleVersionDetails>;

/** A rule set with its newest version and what the last complete rollout made stable. */
export const RuleSetSummary = z.object({
  name: RuleSetName,
  latest: RuleVersion,
  stable: RuleVersion.nullable(),
  versions: z.int(),
  pushedAt: z.iso.datetime(),
});
export type RuleSetSummary = z.infer<typeof RuleSetSummary>;

export const ProfileOfferRow = ProfileIdentity.extend({
  id: z.uuid(),
  node: NodeId,
  hostname: z.string(),
  /** The node still learns. */
  learning: z.boolean(),
  templates: z.int(),
  offeredAt: z.iso.datetime(),
  /** How many offer one of the same workload, user and database. */
  nodes: z.int(),
});
export type ProfileOfferRow = z.infer<typeof ProfileOfferRow>;

export const ProfileOfferDetails = ProfileOfferRow.omit({ nodes: true }).extend({
  profile: ProfileExport,
  /** Version of the signed profile that it is compared with; null: there is none. */
  inForce: z.int().nullable(),
  /** Templates of the offer, by their place, that the signed profile lacks. */
  added: z.array(z.int()),
  /** Those that it has, but with fewer shapes or waived rules. */
  changed: z.array(z.int()),
  /** Those of the signed profile that the offer lacks. */
  missing: z.array(TemplateExport),
});
export type ProfileOfferDetails = z.infer<typeof ProfileOfferDetails>;

export const SignedProfileRow = SignedProfileRef.extend({
  templates: z.int(),
  removed: z.int(),
  signedBy: z.array(z.string()),
  expiresAt: z.iso.datetime(),
  pushedAt: z.iso.datetime(),
  pushedBy: z.string(),
});
export type SignedProfileRow = z.infer<typeof SignedProfileRow>;

export const SharedVerdictRow = z.object({
  id: SharedVerdictId,
  state: z.enum(["pending", "in-force", "refused", "revoked", "expired"]),
  shape: ShapeDigest,
  dialect: Dialect,
  text: z.string(),
  rule: z.string(),
  ruleSet: RuleSetName,
  version: RuleVersion,
  /** Who judged it first. */
  source: NodeId,
  judgedAt: z.iso.datetime(),
  claimedAt: z.iso.datetime(),
  issuedAt: z.iso.datetime().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  endedBy: z.string().nullable(),
  /** Why it was refused or revoked. */
  because: z.string().nullable(),
  /** Nodes that say so, that believe it, and that do not, by reason. */
  claims: z.int(),
  believed: z.int(),
  refused: z.partialRecord(DisbeliefCode, z.int()),
});
export type SharedVerdictRow = z.infer<typeof SharedVerdictRow>;

export const VerdictAnswerRow = z.object({
  node: NodeId,
  hostname: z.string(),
  /** Null: believed. */
  because: DisbeliefCode.nullable(),
  at: z.iso.datetime(),
});
export type VerdictAnswerRow = z.infer<typeof VerdictAnswerRow>;

export const SharedVerdictDetails = SharedVerdictRow.extend({ nodes: z.array(VerdictAnswerRow) });
export type SharedVerdictDetails = z.infer<typeof SharedVerdictDetails>;

export const ImmunityStatus = z.object({
  /** Of this control plane's online key; null: it has none, and shares nothing. */
  keyid: z.string().nullable(),
  /** Rule versions that let the key share verdicts. */
  delegations: z.array(z.object({ ruleSet: RuleSetName, version: RuleVersion, delegation: Delegation })),
  stopped: z.object({ at: z.iso.datetime(), by: z.string(), reason: z.string() }).nullable(),
  verdicts: z.partialRecord(SharedVerdictRow.shape.state, z.int()),
});
export type ImmunityStatus = z.infer<typeof ImmunityStatus>;

export const SharingStopRequest = z.strictObject({ reason: z.string().min(1).max(500) });
export type SharingStopRequest = z.infer<typeof SharingStopRequest>;

export const ReleaseKeyRow = ReleaseKey.extend({ createdAt: z.iso.datetime(), createdBy: z.string() });
export type ReleaseKeyRow = z.infer<typeof ReleaseKeyRow>;

/** An eBPF object that was stored. */
export const ObjectRow = z.object({ digest: ObjectDigest, bytes: z.int() });
export type ObjectRow = z.infer<typeof ObjectRow>;

export const RolloutStep = z.strictObject({
  /** Of the selected nodes. */
  percent: z.number().gt(0).max(100),
  soak: Duration,
  /** Of the processes inside each node of the step, in percent. */
  share: z.number().gt(0).max(100).default(100),
  scope: z.enum(["all", "new-processes"]).default("all"),
  /** A person approves before this step begins. */
  requireApproval: z.boolean().default(false),
});
export type RolloutStep = z.infer<typeof RolloutStep>;

/** Nodes that carry the same value of a label fail together: not more than so many of them change at once. */
export const DomainCap = z.union([
  z.strictObject({ label: z.string().min(1).max(63), nodes: z.int().min(1).max(1_000_000) }),
  z.strictObject({ label: z.string().min(1).max(63), percent: z.number().gt(0).max(100) }),
]);
export type DomainCap = z.infer<typeof DomainCap>;

/** How the canary nodes are compared with the rest (docs/gate.md). */
export const GateSettings = z.strictObject({
  /**
   * `required`: a step ends when every signal was found to be no worse, else a person is asked. `available`: what is
   * found to be worse rolls back, what cannot be told does not hold. `off`: installation, losses and silence only.
   */
  compare: z.enum(["required", "available", "off"]),
  /** Probability of rolling back a version that changes nothing, over the whole rollout. */
  alpha: z.number().gt(0).max(0.2).default(0.01),
  /** Inconclusive for so long after the soak: a person is asked. */
  askAfter: Duration.default("1h"),
});
export type GateSettings = z.infer<typeof GateSettings>;

export const RolloutMode = z.enum(["enforce", "twin"]);
export type RolloutMode = z.infer<typeof RolloutMode>;

export const RolloutRequest = z.strictObject({
  ruleSet: RuleSetName,
  version: RuleVersion,
  /** Labels a node must carry; empty selects all. */
  selector: Labels.default({}),
  steps: z.array(RolloutStep).min(1).max(20),
  /** `twin`: the version judges beside what is stable, which alone enforces; it becomes stable nowhere. */
  mode: RolloutMode.default("enforce"),
  domains: z.array(DomainCap).max(8).default([]),
  /** How long a node that changed counts as changing, for the caps above. */
  settle: Duration.default("0s"),
  /** Omitted: `required` where so many nodes are selected that a comparison can tell, else `available`. */
  gate: GateSettings.optional(),
  /** Not before. */
  startAt: z.iso.datetime({ offset: true }).optional(),
  /** Wait for the rule set's active rollout instead of being refused. */
  queue: z.boolean().default(false),
});
export type RolloutRequest = z.infer<typeof RolloutRequest>;

export const RolloutState = z.enum([
  "scheduled",
  "running",
  "paused",
  "complete",
  "aborted",
  "rolling-back",
  "rolled-back",
]);
export type RolloutState = z.infer<typeof RolloutState>;

const ArmFigures = z.object({ nodes: z.int(), hits: z.number(), of: z.number() });

/** One signal of the gate, canary against control, in the signal's own unit. */
export const SignalFinding = z.object({
  signal: z.string(),
  /** What is compared, for people. */
  title: z.string(),
  unit: z.enum(["share", "cores", "bytes", "nodes"]),
  finding: z.enum(["fine", "worse", "open", "unread"]),
  why: z.string(),
  canary: ArmFigures.nullable(),
  control: ArmFigures.nullable(),
  /** Canary minus control, after what the nodes differed by before. */
  difference: z.number().nullable(),
  /** The true difference lies below, but for 5 % over all looks. */
  upper: z.number().nullable(),
  /** A difference below this does not matter. */
  margin: z.number().nullable(),
  eValue: z.number().nullable(),
  /** An e-value from here on rolls back. */
  threshold: z.number(),
});
export type SignalFinding = z.infer<typeof SignalFinding>;

/** What the gate said of a step, with what it saw. */
export const GateDecision = z.object({
  id: z.int(),
  at: z.iso.datetime(),
  step: z.int(),
  kind: z.enum(["advance", "wait", "roll-back"]),
  because: z.string(),
  /** Null: a person decided, or no signal was compared. */
  signals: z.array(SignalFinding).nullable(),
});
export type GateDecision = z.infer<typeof GateDecision>;

/** A decision with all that it was made from, and what the gate says of the same evidence now. */
export const DecisionDetails = GateDecision.extend({
  evidence: z.record(z.string(), z.unknown()).nullable(),
  replayed: z.object({ kind: z.string(), because: z.string(), same: z.boolean() }).nullable(),
});
export type DecisionDetails = z.infer<typeof DecisionDetails>;

export const RolloutNodeCounts = z.object({
  planned: z.int(),
  reached: z.int(),
  installed: z.int(),
  refused: z.int(),
});
export type RolloutNodeCounts = z.infer<typeof RolloutNodeCounts>;

export const Rollout = z.object({
  id: RolloutId,
  ruleSet: RuleSetName,
  version: RuleVersion,
  /** What it replaces and what a roll back returns to; null when the nodes ran nothing. */
  previous: RuleVersion.nullable(),
  selector: Labels,
  steps: z.array(RolloutStep),
  state: RolloutState,
  step: z.int(),
  stepStartedAt: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  createdBy: z.string(),
  finishedAt: z.iso.datetime().nullable(),
  /** Null, in a list: a later rollout has given them something else. */
  nodes: RolloutNodeCounts.nullable(),
  lastDecision: GateDecision.nullable(),
  mode: RolloutMode,
  domains: z.array(DomainCap),
  settle: Duration,
  gate: GateSettings,
  startAt: z.iso.datetime().nullable(),
  /** What a person may approve now: the step that then begins; null: nothing. */
  asks: z.object({ step: z.int(), because: z.string() }).nullable(),
});
export type Rollout = z.infer<typeof Rollout>;

export const RolloutNode = z.object({
  node: NodeId,
  hostname: z.string(),
  bucket: z.int(),
  /** Index of the step that takes this node. */
  step: z.int(),
  state: z.enum(["planned", "assigned", "delivered", "installed", "refused"]),
  detail: z.string().nullable(),
  /** What a roll back returns this node to; null: nothing, its processes are then judged by no version. */
  previous: RuleVersion.nullable(),
});
export type RolloutNode = z.infer<typeof RolloutNode>;

/** What a twin found on the nodes that ran it, together. */
export const TwinFindings = TwinFigures.extend({
  /** That have told. */
  nodes: z.int(),
  /** By kind and then the most frequent first. */
  differences: z.array(TwinDifference.extend({ nodes: z.int() })),
  /** Differences that are in the figures and not in the list. */
  unlisted: z.int(),
});
export type TwinFindings = z.infer<typeof TwinFindings>;

export const RolloutDetails = Rollout.extend({
  nodes: RolloutNodeCounts,
  nodesByStep: z.array(RolloutNodeCounts),
  /** At most 500: those that refused first, then those that have not installed what they were told. */
  nodesPlanned: z.array(RolloutNode),
  decisions: z.array(GateDecision),
  /** The newest one of the version. */
  backtest: Backtest.nullable(),
  /** Null: it is no twin. */
  twin: TwinFindings.nullable(),
});
export type RolloutDetails = z.infer<typeof RolloutDetails>;

export const RollBackRequest = z.strictObject({
  /** A version that was stable before; omitted: what each node had. */
  to: RuleVersion.optional(),
});
export type RollBackRequest = z.infer<typeof RollBackRequest>;

export const EmergencyStopRequest = z.strictObject({
  reason: z.string().min(1).max(500),
  /** Every node that an unfinished rollout reached returns to what is stable for it. */
  rollBack: z.boolean().default(false),
});
export type EmergencyStopRequest = z.infer<typeof EmergencyStopRequest>;

/** While one is in force no rollout starts, reaches a node or advances; rolling back goes on. */
export const EmergencyStop = z.object({
  at: z.iso.datetime(),
  by: z.string(),
  reason: z.string(),
  rollBack: z.boolean(),
  releasedAt: z.iso.datetime().nullable(),
  releasedBy: z.string().nullable(),
});
export type EmergencyStop = z.infer<typeof EmergencyStop>;
export const EmergencyStopState = z.object({ stop: EmergencyStop.nullable() });
export type EmergencyStopState = z.infer<typeof EmergencyStopState>;

export const Weekday = z.enum(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
export type Weekday = z.infer<typeof Weekday>;
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "a time of day such as 16:30");

/** When no step begins: once, or every week between two times of day in a time zone. */
export const FreezeWindow = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("once"),
    from: z.iso.datetime({ offset: true }),
    to: z.iso.datetime({ offset: true }),
  }),
  z.strictObject({
    kind: z.literal("weekly"),
    days: z.array(Weekday).min(1).max(7),
    from: TimeOfDay,
    /** At or before `from`: of the next day. */
    to: TimeOfDay,
    timeZone: z.string().min(1).max(64),
  }),
]);
export type FreezeWindow = z.infer<typeof FreezeWindow>;

export const FreezeRequest = z.strictObject({ reason: z.string().min(1).max(200), window: FreezeWindow });
export type FreezeRequest = z.infer<typeof FreezeRequest>;

export const Freeze = z.object({
  id: z.uuid(),
  reason: z.string(),
  window: FreezeWindow,
  createdAt: z.iso.datetime(),
  createdBy: z.string(),
  /** Null: not now. */
  frozenUntil: z.iso.datetime().nullable(),
});
export type Freeze = z.infer<typeof Freeze>;

export const DetectionRow = z.object({
  /** Counts up in the order of commit: the cursor of lists and streams. */
  sequence: z.int(),
  node: NodeId,
  hostname: z.string(),
  receivedAt: z.iso.datetime(),
  detection: Detection,
});
export type DetectionRow = z.infer<typeof DetectionRow>;

/** The certificate of a database as a node saw it last. */
export const CertificateRow = z.object({
  node: NodeId,
  hostname: z.string(),
  at: z.iso.datetime(),
  host: z.string(),
  port: z.int(),
  dialect: Dialect,
  handshake: CertificateDetection.shape.handshake,
  error: z.string().nullable(),
  certificate: Certificate.nullable(),
  /** Null: healthy. */
  priority: Priority.nullable(),
});
export type CertificateRow = z.infer<typeof CertificateRow>;

export const Alert = z.object({
  id: AlertId,
  priority: Priority,
  state: z.enum(["open", "acknowledged", "resolved"]),
  causalKey: z.string(),
  title: z.string(),
  summary: z.string(),
  count: z.int(),
  nodes: z.array(NodeId),
  firstAt: z.iso.datetime(),
  lastAt: z.iso.datetime(),
  resolvedAt: z.iso.datetime().nullable(),
  acknowledgedBy: z.string().nullable(),
  ticketUrl: z.string().nullable(),
});
export type Alert = z.infer<typeof Alert>;

export const WebhookRequest = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  priorityMin: Priority.default("P3"),
});
export type WebhookRequest = z.infer<typeof WebhookRequest>;

export const Webhook = z.object({
  id: z.uuid(),
  url: z.string(),
  priorityMin: Priority,
  /** `whsec_…`, shown once, when it is created. */
  secret: z.string().optional(),
  disabledAt: z.iso.datetime().nullable(),
});
export type Webhook = z.infer<typeof Webhook>;

export const Delivery = z.object({
  id: z.uuid(),
  alert: AlertId,
  webhook: z.uuid(),
  event: z.enum(["alert.opened", "alert.resolved"]),
  state: z.enum(["pending", "delivered", "dead"]),
  attempts: z.int(),
  lastStatus: z.int().nullable(),
  lastError: z.string().nullable(),
  createdAt: z.iso.datetime(),
  deliveredAt: z.iso.datetime().nullable(),
});
export type Delivery = z.infer<typeof Delivery>;

/**
 * Body of a webhook, Standard Webhooks: `type`, `timestamp`, `data`. `alert.opened` comes again for the same alert
 * when it becomes more urgent; `alert.resolved` comes once.
 */
export const WebhookPayload = z.object({
  type: z.enum(["alert.opened", "alert.resolved"]),
  timestamp: z.iso.datetime(),
  data: Alert,
});
export type WebhookPayload = z.infer<typeof WebhookPayload>;

/** admin stands on author and approver, author on operator, operator and approver on viewer. */
export const Role = z.enum(["viewer", "operator", "approver", "author", "admin"]);
export type Role = z.infer<typeof Role>;

export const SessionRequest = z.strictObject({ token: z.string().min(1).max(200) });
export type SessionRequest = z.infer<typeof SessionRequest>;

export const ApiTokenRequest = z.strictObject({
  label: z.string().min(1).max(120),
  role: Role,
  /** What it reaches carries these labels; empty: everything. */
  scope: Labels.default({}),
  /** Omitted: it does not expire. */
  ttl: Duration.optional(),
});
export type ApiTokenRequest = z.infer<typeof ApiTokenRequest>;

export const ApiToken = z.object({
  id: z.uuid(),
  label: z.string(),
  role: Role,
  scope: Labels,
  createdAt: z.iso.datetime(),
  createdBy: z.string(),
  expiresAt: z.iso.datetime().nullable(),
  /** To the minute. */
  lastUsedAt: z.iso.datetime().nullable(),
  /** `pkt_…`, shown once, when it is created. */
  token: z.string().optional(),
});
export type ApiToken = z.infer<typeof ApiToken>;

export const Me = z.object({ name: z.string(), role: Role, scope: Labels });
export type Me = z.infer<typeof Me>;

/** What the sign-in page asks before anybody has signed in. */
export const SsoState = z.object({ enabled: z.boolean() });
export type SsoState = z.infer<typeof SsoState>;

/** What a command line got at its loopback address, and the verifier of the challenge that it began with. */
export const SsoTokenRequest = z.strictObject({
  code: z.string().min(1).max(200),
  verifier: z.string().regex(/^[\w.~-]{43,128}$/),
});
export type SsoTokenRequest = z.infer<typeof SsoTokenRequest>;

export const SsoToken = z.object({ token: z.string(), expiresAt: z.iso.datetime(), me: Me });
export type SsoToken = z.infer<typeof SsoToken>;

export const PolicyName = z
  .string()
  .regex(/^own-[a-z0-9-]{1,60}$/, "own- and lower-case letters, digits and dashes");
/** A policy of the fleet's own, in Cedar. */
export const PolicyRequest = z.strictObject({ text: z.string().min(1).max(65_536) });
export type PolicyRequest = z.infer<typeof PolicyRequest>;

export const Policy = z.object({
  name: z.string(),
  version: z.int(),
  /** Null: removed in this version. */
  text: z.string().nullable(),
  createdAt: z.iso.datetime(),
  createdBy: z.string(),
});
export type Policy = z.infer<typeof Policy>;

/** What Picket ships and is always in force: a file's name and its text. */
export const ShippedPolicy = Policy.pick({ name: true }).extend({ text: z.string() });
export type ShippedPolicy = z.infer<typeof ShippedPolicy>;

export const AuditRow = z.object({
  sequence: z.int(),
  at: z.iso.datetime(),
  actor: z.string(),
  verb: z.string(),
  subject: z.string(),
  detail: z.record(z.string(), z.unknown()),
});
export type AuditRow = z.infer<typeof AuditRow>;

/** Each audit row's hash covers the one before it. */
export const AuditCheck = z.object({
  intact: z.boolean(),
  /** Rows that fit, from the first on. */
  rows: z.int(),
  brokenAt: z.int().nullable(),
});
export type AuditCheck = z.infer<typeof AuditCheck>;

/** One ticket per cause: it is reopened and commented, not made again. */
export const Ticket = z.object({
  causalKey: z.string(),
  alert: AlertId,
  adapter: z.enum(["github"]),
  state: z.enum(["open", "closed"]),
  number: z.int().nullable(),
  url: z.string().nullable(),
  /** Why the last call to the tracker failed; it is tried again. */
  lastError: z.string().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Ticket = z.infer<typeof Ticket>;
