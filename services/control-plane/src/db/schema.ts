/**
 * The tables. Rows are the truth: what Redis holds can be emptied at any time and is made again from here.
 * Times are timestamptz; JSONB columns hold values of the shared contract, typed by `$type`.
 */
import type {
  DomainCap,
  FreezeWindow,
  GateSettings,
  Role,
  RolloutMode,
  RolloutState,
  RolloutStep,
  SignalFinding,
} from "@picket/shared/api";
import type { BacktestReport, BacktestState } from "@picket/shared/backtest";
import type { Envelope, ReleaseKey } from "@picket/shared/bundle";
import type { Delegation } from "@picket/shared/bundle-format";
import type {
  Assignment,
  ConnectionState,
  Installed,
  LocalOverride,
  VersionCounters,
} from "@picket/shared/contract";
import type { Certificate, Detection } from "@picket/shared/detection";
import type {
  BundleDigest,
  NodeId,
  ObjectDigest,
  RolloutId,
  RuleSetName,
  RuleVersion,
  ShapeDigest,
  SharedVerdictId,
} from "@picket/shared/ids";
import type { DisbeliefCode, ImmunityReport, SharedVerdictEnvelope } from "@picket/shared/immunity";
import type { AdoptedProfile, ProfileExport, SignedProfileEnvelope } from "@picket/shared/profile";
import type { TrustEnvelope } from "@picket/shared/trust-format";
import type { TwinReport } from "@picket/shared/twin";
import type { Dialect, Guarantee, Labels, Priority, Verdict } from "@picket/shared/vocabulary";
import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  boolean,
  customType,
  doublePrecision,
  index,
  integer,
  json,
  jsonb,
  pgSequence,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { Person } from "./person.ts";
import type { Marks, Totals, TwinTotals, Watch } from "./totals.ts";

const at = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });

// ---- identity

export const apiTokens = pgTable("api_tokens", {
  id: uuid().primaryKey(),
  /** SHA-256 of the token: the token itself is shown once and never stored. */
  hash: text().notNull().unique(),
  label: text().notNull(),
  role: text().$type<Role>().notNull(),
  /** What it reaches carries these labels; empty: everything. */
  scope: jsonb().$type<Labels>().notNull().default({}),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  /** Null: it does not expire. */
  expiresAt: at("expires_at"),
  /** To the minute; null: never. */
  lastUsedAt: at("last_used_at"),
  revokedAt: at("revoked_at"),
});

export const sessions = pgTable("sessions", {
  hash: text().primaryKey(),
  /** The API token that it was exchanged for; null: of single sign-on. */
  token: uuid().references(() => apiTokens.id, { onDelete: "cascade" }),
  /** Whom the identity provider vouched for. */
  person: jsonb().$type<Person>(),
  /** Sealed; null: the provider is not asked again, and the session is short. */
  refreshToken: text("refresh_token"),
  /** When the provider is asked again. */
  checkAt: at("check_at"),
  /** Somebody asks; who does not answer by then is taken for dead. */
  askedUntil: at("asked_until"),
  createdAt: at("created_at").notNull(),
  expiresAt: at("expires_at").notNull(),
});

/** What a command line redeems within a minute after a sign-in in the browser. */
export const ssoCodes = pgTable("sso_codes", {
  hash: text().primaryKey(),
  /** Of the verifier (RFC 7636, S256). */
  challenge: text().notNull(),
  person: jsonb().$type<Person>().notNull(),
  expiresAt: at("expires_at").notNull(),
});

/** Every version of every policy of the fleet's own; the newest of a name holds. */
export const policies = pgTable("policies", {
  sequence: bigserial({ mode: "number" }).primaryKey(),
  name: text().notNull(),
  version: integer().notNull(),
  /** Null: removed. */
  text: text(),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

export const auditLog = pgTable("audit_log", {
  /** Drawn under the chain's lock, so without gaps. */
  sequence: bigint({ mode: "number" }).primaryKey(),
  at: at("at").notNull(),
  actor: text().notNull(),
  verb: text().notNull(),
  subject: text().notNull(),
  detail: jsonb().$type<Record<string, unknown>>().notNull(),
  previousHash: text("previous_hash").notNull(),
  hash: text().notNull(),
});

// ---- nodes

export const joinTokens = pgTable("join_tokens", {
  id: uuid().primaryKey(),
  hash: text().notNull().unique(),
  labels: jsonb().$type<Labels>().notNull(),
  usesMax: integer("uses_max").notNull(),
  uses: integer().notNull().default(0),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  expiresAt: at("expires_at").notNull(),
  revokedAt: at("revoked_at"),
});

export const nodes = pgTable(
  "nodes",
  {
    id: uuid().$type<NodeId>().primaryKey(),
    /** Counts up with enrolment: the cursor of lists. */
    sequence: bigserial({ mode: "number" }).notNull().unique(),
    hostname: text().notNull(),
    labels: jsonb().$type<Labels>().notNull(),
    /** Of the join token: the node cannot report these away. */
    labelsFixed: jsonb("labels_fixed").$type<Labels>().notNull(),
    /** base64url of the raw Ed25519 public key. */
    publicKey: text("public_key").notNull().unique(),
    /** Null: since it enrolled. */
    keySince: at("key_since"),
    /** Let in until then: what it had signed when the key changed. */
    previousKey: text("previous_key"),
    previousKeyUntil: at("previous_key_until"),
    kernel: text().notNull(),
    agentVersion: text("agent_version").notNull(),
    joinToken: uuid("join_token").notNull(),
    enrolledAt: at("enrolled_at").notNull(),
    /** Its key is refused from then on; rollouts no longer wait for it. */
    retiredAt: at("retired_at"),
    /** Its key is refused until it is released; what it is assigned stays. */
    quarantinedAt: at("quarantined_at"),
    lastSeenAt: at("last_seen_at"),
    /** Without another report by then it is silent; null before the first word of it. */
    silentAt: at("silent_at"),
    /** When the report below was taken in; null before the first. */
    reportedAt: at("reported_at"),
    installed: jsonb().$type<Installed[]>().notNull().default([]),
    counters: jsonb().$type<VersionCounters[]>().notNull().default([]),
    losses: jsonb().$type<Record<string, number>>().notNull().default({}),
    guarantees: jsonb().$type<Partial<Record<Guarantee, number>>>().notNull().default({}),
    connections: jsonb().$type<ConnectionState[]>().notNull().default([]),
    connectionsTotal: integer("connections_total").notNull().default(0),
    /** The root of trust that it goes by, as it says. */
    trust: integer().notNull().default(0),
    overrides: jsonb().$type<LocalOverride[]>().notNull().default([]),
    missing: jsonb().$type<string[]>().notNull().default([]),
    shapesLearned: integer("shapes_learned").notNull().default(0),
    /** Its part in shared verdicts, as it says; null: none. */
    immunity: jsonb().$type<ImmunityReport>(),
    /** What became of the signed profiles of its workloads, as it says. */
    signedProfiles: jsonb("signed_profiles").$type<AdoptedProfile[]>().notNull().default([]),
    residentBytes: bigint("resident_bytes", { mode: "number" }),
    uptimeSeconds: doublePrecision("uptime_seconds"),
    /** As the agent last said, since it started. */
    lostByAgent: bigint("lost_by_agent", { mode: "number" }).notNull().default(0),
    /** Summed over restarts of the agent: only grows. */
    eventsLost: bigint("events_lost", { mode: "number" }).notNull().default(0),
    /** What it counted since it was enrolled, over restarts (nodes/totals.ts); null before the first report. */
    totals: jsonb().$type<Totals>(),
    /** The totals of some ten and twenty minutes ago: what was usual before a step. */
    marks: jsonb().$type<Marks>(),
  },
  table => [
    index("nodes_labels").using("gin", sql`${table.labels} jsonb_path_ops`),
    index("nodes_silent").on(table.silentAt),
  ],
);

// ---- bundles and rules

export const releaseKeys = pgTable("release_keys", {
  keyid: text().primaryKey(),
  publicKey: text("public_key").notNull(),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

/** The chain of roots (shared/trust-format.ts); without one the keys above count, and one of them is enough. */
export const trustRoots = pgTable("trust_roots", {
  version: integer().primaryKey(),
  envelope: jsonb().$type<TrustEnvelope>().notNull(),
  keys: jsonb().$type<ReleaseKey[]>().notNull(),
  threshold: integer().notNull(),
  pushedAt: at("pushed_at").notNull(),
  pushedBy: text("pushed_by").notNull(),
});

export const objects = pgTable("objects", {
  digest: text().$type<ObjectDigest>().primaryKey(),
  bytes: bytea().notNull(),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

export const ruleVersions = pgTable(
  "rule_versions",
  {
    ruleSet: text("rule_set").$type<RuleSetName>().notNull(),
    version: integer().$type<RuleVersion>().notNull(),
    bundle: text().$type<BundleDigest>().notNull().unique(),
    envelope: jsonb().$type<Envelope>().notNull(),
    ruleText: text("rule_text").notNull(),
    signedBy: jsonb("signed_by").$type<string[]>().notNull(),
    /** The scope of who pushed the rule set's first version: who may push the next lies within it. */
    owner: jsonb().$type<Labels>().notNull().default({}),
    floor: integer().notNull(),
    /** Who may share verdicts with nodes that run it. */
    delegation: jsonb().$type<Delegation>(),
    object: text().$type<ObjectDigest>().notNull(),
    lostEventsMax: integer("lost_events_max").notNull(),
    expiresAt: at("expires_at").notNull(),
    pushedAt: at("pushed_at").notNull(),
    pushedBy: text("pushed_by").notNull(),
  },
  table => [primaryKey({ columns: [table.ruleSet, table.version] })],
);

// ---- rollouts

export const rollouts = pgTable(
  "rollouts",
  {
    id: uuid().$type<RolloutId>().primaryKey(),
    ruleSet: text("rule_set").$type<RuleSetName>().notNull(),
    version: integer().$type<RuleVersion>().notNull(),
    bundle: text().$type<BundleDigest>().notNull(),
    previous: integer().$type<RuleVersion>(),
    selector: jsonb().$type<Labels>().notNull(),
    steps: jsonb().$type<RolloutStep[]>().notNull(),
    salt: text().notNull(),
    /** The lowest bucket among the planned nodes: no step takes fewer than this one. */
    lowestBucket: integer("lowest_bucket").notNull(),
    lostEventsMax: integer("lost_events_max").notNull(),
    state: text().$type<RolloutState>().notNull(),
    step: integer().notNull(),
    stepStartedAt: at("step_started_at").notNull(),
    createdAt: at("created_at").notNull(),
    createdBy: text("created_by").notNull(),
    finishedAt: at("finished_at"),
    mode: text().$type<RolloutMode>().notNull().default("enforce"),
    domains: jsonb().$type<DomainCap[]>().notNull().default([]),
    settle: text().notNull().default("0s"),
    gate: jsonb()
      .$type<GateSettings>()
      .notNull()
      .default({ compare: "available", alpha: 0.01, askAfter: "1h" }),
    startAt: at("start_at"),
    /** The highest step that a person has approved, or promoted to. */
    approvedStep: integer("approved_step").notNull().default(-1),
    /** What a person is asked now; null: nothing. */
    asks: text(),
    /** Of a roll back to another version than each node's previous one. */
    rollBackTo: integer("roll_back_to").$type<RuleVersion>(),
    /** Orders rollouts of one rule set: the last complete one is what is stable. */
    sequence: bigserial({ mode: "number" }).notNull(),
  },
  table => [
    uniqueIndex("rollouts_one_active")
      .on(table.ruleSet)
      .where(sql`${table.state} in ('running', 'paused', 'rolling-back')`),
    index("rollouts_by_rule_set").on(table.ruleSet, table.sequence),
  ],
);

export const rolloutNodes = pgTable(
  "rollout_nodes",
  {
    rollout: uuid()
      .$type<RolloutId>()
      .notNull()
      .references(() => rollouts.id),
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id),
    bucket: integer().notNull(),
    /** Index of the step that takes it. */
    step: integer().notNull(),
    /** What is stable for it without this rollout: what a roll back returns to. */
    previous: integer().$type<RuleVersion>(),
    /** Null until a step reaches it. */
    reachedAt: at("reached_at"),
    /** When it was first seen to have installed what this step asks; null: not yet. */
    installedAt: at("installed_at"),
    /** nodes.events_lost when the running step began. */
    lostAtStepStart: bigint("lost_at_step_start", { mode: "number" }).notNull().default(0),
    /** Where the comparison of the running step begins for this node; null: it is not watched. */
    watch: jsonb().$type<Watch>(),
  },
  table => [primaryKey({ columns: [table.rollout, table.node] }), index("rollout_nodes_node").on(table.node)],
);

/** What a twin found on a node: as it said last, and the sum of what it said before its agent began anew. */
export const twinReports = pgTable(
  "twin_reports",
  {
    rollout: uuid()
      .$type<RolloutId>()
      .notNull()
      .references(() => rollouts.id, { onDelete: "cascade" }),
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id, { onDelete: "cascade" }),
    epoch: uuid().notNull(),
    said: json().$type<TwinReport>().notNull(),
    before: json().$type<TwinTotals>(),
    at: at("at").notNull(),
  },
  table => [primaryKey({ columns: [table.rollout, table.node] })],
);

export const rolloutDecisions = pgTable(
  "rollout_decisions",
  {
    id: bigserial({ mode: "number" }).primaryKey(),
    rollout: uuid()
      .$type<RolloutId>()
      .notNull()
      .references(() => rollouts.id),
    at: at("at").notNull(),
    step: integer().notNull(),
    kind: text().$type<"advance" | "wait" | "roll-back">().notNull(),
    because: text().notNull(),
    signals: jsonb().$type<SignalFinding[]>(),
    /** All that the gate was given, to ask it again; null: a person decided. */
    evidence: jsonb().$type<object>(),
  },
  table => [index("rollout_decisions_rollout").on(table.rollout, table.id)],
);

/** At most one is in force. */
export const emergencyStops = pgTable(
  "emergency_stops",
  {
    id: uuid().primaryKey(),
    at: at("at").notNull(),
    by: text().notNull(),
    reason: text().notNull(),
    rollBack: boolean("roll_back").notNull(),
    releasedAt: at("released_at"),
    releasedBy: text("released_by"),
  },
  table => [uniqueIndex("emergency_stops_one").on(sql`(true)`).where(sql`${table.releasedAt} is null`)],
);

export const freezes = pgTable("freezes", {
  id: uuid().primaryKey(),
  reason: text().notNull(),
  window: jsonb().$type<FreezeWindow>().notNull(),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

/** What each node should run, one row per rule set; history is in the audit log and the decisions. */
export const assignments = pgTable(
  "assignments",
  {
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id),
    ruleSet: text("rule_set").$type<RuleSetName>().notNull(),
    id: uuid().notNull().unique(),
    generation: integer().notNull(),
    version: integer().$type<RuleVersion>().notNull(),
    bundle: text().$type<BundleDigest>().notNull(),
    rollout: uuid().$type<RolloutId>(),
    share: integer().notNull(),
    scope: text().$type<"all" | "new-processes">().notNull(),
    mode: text().$type<RolloutMode>().notNull().default("enforce"),
    /** Of a twin: what is to enforce beside it; null: nothing of the rule set. */
    beside: jsonb().$type<Assignment["beside"]>(),
    assignedAt: at("assigned_at").notNull(),
    /** The node has it in hand; null while it may still wait in an inbox. */
    acknowledgedAt: at("acknowledged_at"),
  },
  table => [
    primaryKey({ columns: [table.node, table.ruleSet] }),
    index("assignments_undelivered").on(table.assignedAt).where(sql`${table.acknowledgedAt} is null`),
  ],
);

// ---- detections

export const detections = pgTable(
  "detections",
  {
    node: uuid().$type<NodeId>().notNull(),
    id: uuid().notNull(),
    sequence: bigserial({ mode: "number" }).notNull(),
    kind: text().$type<Detection["kind"]>().notNull(),
    at: at("at").notNull(),
    receivedAt: at("received_at").notNull(),
    /** Null: a certificate that is healthy again. */
    priority: text().$type<Priority>(),
    causalKey: text("causal_key").notNull(),
    verdict: text().$type<Verdict>(),
    guarantee: text().$type<Guarantee>(),
    rules: text().array(),
    /** Of a statement: how many were folded into this one event. */
    count: integer().notNull().default(1),
    /** json, not jsonb: kept as it came, which halves the cost of storing it; what is searched has a column. */
    payload: json().$type<Detection>().notNull(),
  },
  table => [
    primaryKey({ columns: [table.node, table.id] }),
    uniqueIndex("detections_sequence").on(table.sequence),
    index("detections_node_sequence").on(table.node, table.sequence),
  ],
);

/** How far detections were folded into alerts; one row. */
export const cursors = pgTable("cursors", {
  name: text().primaryKey(),
  sequence: bigint({ mode: "number" }).notNull(),
});

export const certificates = pgTable(
  "certificates",
  {
    node: uuid().$type<NodeId>().notNull(),
    host: text().notNull(),
    port: integer().notNull(),
    dialect: text().$type<Dialect>().notNull(),
    handshake: text().$type<"succeeded" | "failed">().notNull(),
    error: text(),
    certificate: jsonb().$type<Certificate>(),
    priority: text().$type<Priority>(),
    causalKey: text("causal_key").notNull(),
    at: at("at").notNull(),
  },
  table => [primaryKey({ columns: [table.node, table.host, table.port] })],
);

// ---- alerts, deliveries, tickets

export const alerts = pgTable(
  "alerts",
  {
    id: uuid().primaryKey(),
    sequence: bigserial({ mode: "number" }).notNull(),
    priority: text().$type<Priority>().notNull(),
    state: text().$type<"open" | "acknowledged" | "resolved">().notNull(),
    causalKey: text("causal_key").notNull(),
    title: text().notNull(),
    summary: text().notNull(),
    count: bigint({ mode: "number" }).notNull(),
    nodes: jsonb().$type<NodeId[]>().notNull(),
    firstAt: at("first_at").notNull(),
    lastAt: at("last_at").notNull(),
    /** When the control plane last heard of it: what the quiet period counts from. */
    heardAt: at("heard_at").notNull(),
    /** An incident ends by falling quiet; a state ends when it is reported gone. */
    endsQuietly: boolean("ends_quietly").notNull(),
    resolvedAt: at("resolved_at"),
    acknowledgedBy: text("acknowledged_by"),
  },
  table => [
    uniqueIndex("alerts_one_live_per_cause").on(table.causalKey).where(sql`${table.state} <> 'resolved'`),
    uniqueIndex("alerts_sequence").on(table.sequence),
    index("alerts_quiet").on(table.heardAt).where(sql`${table.state} <> 'resolved' and ${table.endsQuietly}`),
    index("alerts_cause").on(table.causalKey, table.sequence),
  ],
);

export const webhooks = pgTable("webhooks", {
  id: uuid().primaryKey(),
  url: text().notNull(),
  priorityMin: text("priority_min").$type<Priority>().notNull(),
  /** Sealed (deliveries/secret-box.ts); never returned after creation, never logged. */
  secret: text().notNull(),
  createdAt: at("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  disabledAt: at("disabled_at"),
  deletedAt: at("deleted_at"),
});

export const deliveries = pgTable(
  "deliveries",
  {
    /** Also the webhook-id: stable over every attempt. */
    id: uuid().primaryKey(),
    sequence: bigserial({ mode: "number" }).notNull(),
    alert: uuid()
      .notNull()
      .references(() => alerts.id),
    webhook: uuid()
      .notNull()
      .references(() => webhooks.id),
    event: text().$type<"alert.opened" | "alert.resolved">().notNull(),
    /** Of the alert when this was written: one that becomes more urgent is announced again. */
    priority: text().$type<Priority>().notNull(),
    /** The exact body: every attempt sends and signs the same bytes. */
    body: text().notNull(),
    state: text().$type<"pending" | "delivered" | "dead">().notNull(),
    attempts: integer().notNull().default(0),
    nextAttemptAt: at("next_attempt_at").notNull(),
    lastStatus: integer("last_status"),
    lastError: text("last_error"),
    createdAt: at("created_at").notNull(),
    deliveredAt: at("delivered_at"),
  },
  table => [
    uniqueIndex("deliveries_once").on(table.alert, table.webhook, table.event, table.priority),
    uniqueIndex("deliveries_sequence").on(table.sequence),
    index("deliveries_due").on(table.nextAttemptAt).where(sql`${table.state} = 'pending'`),
  ],
);

export const tickets = pgTable(
  "tickets",
  {
    causalKey: text("causal_key").primaryKey(),
    adapter: text().$type<"github">().notNull(),
    /** Null until it was made or found there. */
    number: integer(),
    url: text(),
    state: text().$type<"open" | "closed">().notNull(),
    /** The cause's newest alert: what the ticket should show. */
    alert: uuid()
      .notNull()
      .references(() => alerts.id),
    /** Counts how often the alert changed: what was marked while the tracker was called is seen by it. */
    revision: integer().notNull().default(1),
    /** Which alert, at which priority, the tracker was told last. */
    toldAlert: uuid("told_alert"),
    toldPriority: text("told_priority").$type<Priority>(),
    /** Who holds it may call the tracker for this cause. */
    lockedUntil: at("locked_until"),
    attempts: integer().notNull().default(0),
    nextAttemptAt: at("next_attempt_at"),
    lastError: text("last_error"),
    createdAt: at("created_at").notNull(),
    updatedAt: at("updated_at").notNull(),
  },
  table => [index("tickets_due").on(table.nextAttemptAt).where(sql`${table.nextAttemptAt} is not null`)],
);

// ---- shapes and backtests

/** Every shape that some node has reported, once; its text holds no literal. */
export const shapes = pgTable("shapes", {
  digest: text().$type<ShapeDigest>().primaryKey(),
  dialect: text().$type<Dialect>().notNull(),
  text: text().notNull(),
  firstSeenAt: at("first_seen_at").notNull(),
});

/** How often a node has seen it. */
export const shapeUses = pgTable(
  "shape_uses",
  {
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id, { onDelete: "cascade" }),
    shape: text()
      .$type<ShapeDigest>()
      .notNull()
      .references(() => shapes.digest, { onDelete: "cascade" }),
    workload: text().notNull(),
    /** Of the agent's run that last reported it, with the uses of that run alone. */
    epoch: uuid().notNull(),
    usesNow: bigint("uses_now", { mode: "number" }).notNull(),
    /** Of all runs before. */
    usesBefore: bigint("uses_before", { mode: "number" }).notNull().default(0),
    lastSeenAt: at("last_seen_at").notNull(),
  },
  table => [
    primaryKey({ columns: [table.node, table.shape] }),
    index("shape_uses_shape").on(table.shape),
    index("shape_uses_idle").on(table.lastSeenAt),
  ],
);

export const backtests = pgTable(
  "backtests",
  {
    id: uuid().primaryKey(),
    sequence: bigserial({ mode: "number" }).notNull().unique(),
    ruleSet: text("rule_set").$type<RuleSetName>().notNull(),
    version: integer().$type<RuleVersion>(),
    baseline: integer().$type<RuleVersion>(),
    ruleText: text("rule_text").notNull(),
    state: text().$type<BacktestState>().notNull(),
    createdAt: at("created_at").notNull(),
    createdBy: text("created_by").notNull(),
    startedAt: at("started_at"),
    finishedAt: at("finished_at"),
    summary: text(),
    error: text(),
    report: json().$type<BacktestReport>(),
  },
  table => [
    index("backtests_version").on(table.ruleSet, table.version, table.sequence),
    index("backtests_unfinished").on(table.createdAt).where(sql`${table.finishedAt} is null`),
  ],
);

// ---- immunity

/** Drawn under a lock: who reads up to one must not find a lower one later. */
export const sharedVerdictSequence = pgSequence("shared_verdict_sequence");

/** A shape that some node judged hostile, and what became of it. */
export const sharedVerdicts = pgTable(
  "shared_verdicts",
  {
    id: uuid().$type<SharedVerdictId>().primaryKey(),
    /** The order in which they were claimed. */
    place: bigint({ mode: "number" }).generatedAlwaysAsIdentity().unique(),
    state: text().$type<"pending" | "in-force" | "refused" | "revoked" | "expired">().notNull(),
    shape: text().$type<ShapeDigest>().notNull(),
    dialect: text().$type<Dialect>().notNull(),
    text: text().notNull(),
    rule: text().notNull(),
    ruleSet: text("rule_set").$type<RuleSetName>().notNull(),
    version: integer().$type<RuleVersion>().notNull(),
    /** Who judged it first; others that did are in the claims. */
    source: uuid().$type<NodeId>().notNull(),
    judgedAt: at("judged_at").notNull(),
    claimedAt: at("claimed_at").notNull(),
    /** Why it was refused or revoked. */
    because: text(),
    issuedAt: at("issued_at"),
    expiresAt: at("expires_at"),
    endedAt: at("ended_at"),
    endedBy: text("ended_by"),
    /** A person says that the rules are wrong here: by this version it is not shared again. */
    refuted: boolean().notNull().default(false),
    /** Of what is signed last: the denial, or its revocation. */
    sequence: bigint({ mode: "number" }),
    envelope: jsonb().$type<SharedVerdictEnvelope>(),
  },
  table => [
    // Partial, so that to number a row anew is no change of a key, which would wait for every claim of it.
    uniqueIndex("shared_verdicts_sequence").on(table.sequence).where(sql`${table.sequence} is not null`),
    uniqueIndex("shared_verdicts_one_per_shape")
      .on(table.shape)
      .where(sql`${table.state} in ('pending', 'in-force')`),
    index("shared_verdicts_state").on(table.state, table.claimedAt),
    index("shared_verdicts_refuted").on(table.shape).where(sql`${table.refuted}`),
  ],
);

/** Who says so. A node's claims go with its standing. */
export const sharedVerdictClaims = pgTable(
  "shared_verdict_claims",
  {
    verdict: uuid()
      .$type<SharedVerdictId>()
      .notNull()
      .references(() => sharedVerdicts.id, { onDelete: "cascade" }),
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id, { onDelete: "cascade" }),
    at: at("at").notNull(),
  },
  table => [
    primaryKey({ columns: [table.verdict, table.node] }),
    index("shared_verdict_claims_node").on(table.node),
  ],
);

/** What each node made of it. */
export const sharedVerdictAnswers = pgTable(
  "shared_verdict_answers",
  {
    verdict: uuid()
      .$type<SharedVerdictId>()
      .notNull()
      .references(() => sharedVerdicts.id, { onDelete: "cascade" }),
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id, { onDelete: "cascade" }),
    /** Null: believed. */
    because: text().$type<DisbeliefCode>(),
    at: at("at").notNull(),
  },
  table => [primaryKey({ columns: [table.verdict, table.node] })],
);

/** While one is in force nothing is shared. */
export const sharingStops = pgTable(
  "sharing_stops",
  {
    id: uuid().primaryKey(),
    at: at("at").notNull(),
    by: text().notNull(),
    reason: text().notNull(),
    releasedAt: at("released_at"),
    releasedBy: text("released_by"),
  },
  table => [uniqueIndex("sharing_stops_one").on(sql`(true)`).where(sql`${table.releasedAt} is null`)],
);

// ---- profiles

/** What a workload was learned to send on a node: the node's newest word. */
export const profileOffers = pgTable(
  "profile_offers",
  {
    id: uuid().primaryKey(),
    node: uuid()
      .$type<NodeId>()
      .notNull()
      .references(() => nodes.id, { onDelete: "cascade" }),
    workload: text().notNull(),
    databaseUser: text("database_user").notNull(),
    database: text().notNull(),
    learning: boolean().notNull(),
    templates: integer().notNull(),
    profile: json().$type<ProfileExport>().notNull(),
    offeredAt: at("offered_at").notNull(),
  },
  table => [
    uniqueIndex("profile_offers_one").on(table.node, table.workload, table.databaseUser, table.database),
  ],
);

/** Reviewed and signed; a version never changes. */
export const signedProfiles = pgTable(
  "signed_profiles",
  {
    /** Of the signed bytes. */
    digest: text().primaryKey(),
    workload: text().notNull(),
    databaseUser: text("database_user").notNull(),
    database: text().notNull(),
    version: integer().notNull(),
    templates: integer().notNull(),
    removed: integer().notNull(),
    envelope: json().$type<SignedProfileEnvelope>().notNull(),
    signedBy: jsonb("signed_by").$type<string[]>().notNull(),
    expiresAt: at("expires_at").notNull(),
    pushedAt: at("pushed_at").notNull(),
    pushedBy: text("pushed_by").notNull(),
  },
  table => [
    uniqueIndex("signed_profiles_version").on(
      table.workload,
      table.databaseUser,
      table.database,
      table.version,
    ),
  ],
);
