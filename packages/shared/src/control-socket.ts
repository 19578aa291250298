/**
 * HTTP over the agent's root-only UNIX socket (mode 0600). The CLI's `agent`, `guard`, `doctor` and `verdict`
 * commands use it. Every change is audited in the agent's log and reported up as a local override.
 *
 * GET /v1/status · GET /v1/doctor
 * POST /v1/join · POST /v1/leave · POST /v1/rotate-key
 * GET /v1/workloads · PUT /v1/workloads · DELETE /v1/workloads/:id
 * GET /v1/verdicts · PUT /v1/verdicts · DELETE /v1/verdicts/:id
 * GET /v1/profiles · GET /v1/profiles/export?workload=&user=&database= · PUT /v1/profiles (an export)
 * DELETE /v1/profiles?workload=&user=&database=[&shape=] (one template, or all: it learns anew)
 * GET /v1/detections?after=SEQUENCE&wait=SECONDS (the last 1,000 in memory; long poll)
 */
import { z } from "zod";
import { ConnectionState, LocalOverride, Report } from "./contract.ts";
import { Detection } from "./detection.ts";
import { NodeId } from "./ids.ts";
import { Dialect, Duration, Labels, WorkloadMode } from "./vocabulary.ts";

export const CONTROL_SOCKET_DEFAULT = "/run/picket/agent.sock";

/** What to guard: a systemd unit, a cgroup2 path below the mount, or a process with its descendants. */
export const WorkloadSelector = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("unit"), unit: z.string().min(1) }),
  z.strictObject({ kind: z.literal("cgroup"), path: z.string().min(1) }),
  z.strictObject({ kind: z.literal("pid"), pid: z.int().min(1) }),
]);
export type WorkloadSelector = z.infer<typeof WorkloadSelector>;

export const WorkloadRequest = z.strictObject({
  selector: WorkloadSelector,
  mode: WorkloadMode,
  labels: Labels.default({}),
  /** unused: none of its programs asks how many bytes wait to be read; their connections then cost less. */
  fionread: z.enum(["kept", "unused"]).default("kept"),
});
export type WorkloadRequest = z.infer<typeof WorkloadRequest>;

export const Workload = z.object({
  id: z.int(),
  name: z.string(),
  selector: WorkloadSelector,
  mode: WorkloadMode,
  labels: Labels,
  fionread: WorkloadRequest.shape.fionread,
});
export type Workload = z.infer<typeof Workload>;

/** The most urgent case: a verdict straight into the kernel map, by an example statement of the shape. */
export const VerdictRequest = z.strictObject({
  dialect: Dialect,
  sql: z.string().min(1).max(65_536),
  action: z.enum(["allow", "observe", "alert", "block"]),
  reason: z.string().min(1).max(500),
  ttl: Duration,
});
export type VerdictRequest = z.infer<typeof VerdictRequest>;

export const VerdictResponse = LocalOverride.extend({ id: z.string() });
export type VerdictResponse = z.infer<typeof VerdictResponse>;

/** What one workload sends as one database user to one database; empty where that is not known. */
export const ProfileState = z.object({
  workload: z.string(),
  databaseUser: z.string(),
  database: z.string(),
  learning: z.boolean(),
  templates: z.int(),
  statements: z.int(),
  since: z.iso.datetime(),
});
export type ProfileState = z.infer<typeof ProfileState>;

export const JoinRequest = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  token: z.string().min(1),
  labels: Labels.default({}),
});
export type JoinRequest = z.infer<typeof JoinRequest>;

export const Status = z.object({
  enrolled: z.object({ node: NodeId, url: z.string() }).nullable(),
  rulesFrom: z.enum(["control-plane", "directory", "none"]),
  workloads: z.array(Workload),
  report: Report,
});
export type Status = z.infer<typeof Status>;

/** Detections as this agent made them, before they are uploaded: for a terminal on the host itself. */
export const LocalDetections = z.object({
  items: z.array(z.object({ sequence: z.int(), detection: Detection })),
  /** Ask after this one next. */
  last: z.int(),
});
export type LocalDetections = z.infer<typeof LocalDetections>;

/** One check of `picket doctor`, in plain words. */
export const DoctorCheck = z.object({
  name: z.string(),
  state: z.enum(["ok", "degraded", "missing"]),
  detail: z.string(),
});
export type DoctorCheck = z.infer<typeof DoctorCheck>;

export const Doctor = z.object({
  kernel: z.string(),
  checks: z.array(DoctorCheck),
  connections: z.array(ConnectionState),
});
export type Doctor = z.infer<typeof Doctor>;
