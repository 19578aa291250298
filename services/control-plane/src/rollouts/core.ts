/**
 * Rollouts, decided purely: time, buckets and what the nodes said go in, a decision comes out; reconcile.ts reads
 * the rows and carries the decision out.
 *
 * A node's bucket is hash(salt, node) mod 10,000. A step takes the buckets below its threshold, and never fewer
 * than the lowest planned one: so a later step contains an earlier one, and a node that joins later knows its step
 * by itself. The salt is chosen among several so that a small fleet's steps come out as near to their percentages
 * as whole nodes allow (20 % of five is one).
 */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import type { RolloutState } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { NodeId, RuleVersion } from "@picket/shared/ids";

export const BUCKETS = 10_000;

// ---- who is in which step

export function bucketOf(salt: string, node: string): number {
  // 48 bits over 10,000 buckets: the bias of the remainder is below one in 10^10.
  return createHash("sha256").update(`${salt}:${node}`).digest().readUIntBE(0, 6) % BUCKETS;
}

/** The first bucket that each step leaves out. */
export function thresholds(percents: readonly number[], lowestBucket: number): number[] {
  return percents.map(percent => Math.max(Math.round((percent / 100) * BUCKETS), lowestBucket + 1));
}

/** Index of the first step that takes the bucket; the last step takes all. */
export function stepOf(bucket: number, steps: readonly number[]): number {
  const step = steps.findIndex(threshold => bucket < threshold);
  assert(step >= 0, "the last step reaches every bucket");
  return step;
}

export interface Plan<Node extends string = NodeId> {
  salt: string;
  lowestBucket: number;
  nodes: { node: Node; bucket: number; step: number }[];
}

/** Names every node's step before anything starts. `percents` do not fall and end with 100. */
export function plan<Node extends string>(
  nodes: readonly Node[],
  percents: readonly number[],
  salts: readonly string[],
): Plan<Node> {
  assert(nodes.length > 0 && salts.length > 0 && percents.at(-1) === 100);
  const plans = salts.map(salt => planWith(salt, nodes, percents));
  return plans.reduce((best, next) => (error(next, percents) < error(best, percents) ? next : best));
}

function planWith<Node extends string>(
  salt: string,
  nodes: readonly Node[],
  percents: readonly number[],
): Plan<Node> {
  const buckets = nodes.map(node => bucketOf(salt, node));
  const lowestBucket = buckets.reduce((a, b) => Math.min(a, b));
  const limits = thresholds(percents, lowestBucket);
  return {
    salt,
    lowestBucket,
    nodes: nodes.map((node, i) => ({ node, bucket: buckets[i]!, step: stepOf(buckets[i]!, limits) })),
  };
}

/** How far the steps' sizes are from what their percentages ask, in nodes. */
function error({ nodes }: Plan<string>, percents: readonly number[]): number {
  const perStep = percents.map(() => 0);
  for (const { step } of nodes) perStep[step]! += 1;
  let reached = 0;
  return percents.reduce((sum, percent, step) => {
    reached += perStep[step]!;
    return sum + Math.abs(reached - Math.max(1, Math.round((percent / 100) * nodes.length)));
  }, 0);
}

// ---- the state machine

export type RolloutVerb = "pause" | "resume" | "abort" | "roll-back" | "complete" | "finish-roll-back";

const machine: Record<RolloutState, Partial<Record<RolloutVerb, RolloutState>>> = {
  running: { pause: "paused", abort: "aborted", "roll-back": "rolling-back", complete: "complete" },
  paused: { resume: "running", abort: "aborted", "roll-back": "rolling-back" },
  // What is complete or aborted left its version on nodes: it can still be taken back.
  complete: { "roll-back": "rolling-back" },
  aborted: { "roll-back": "rolling-back" },
  // A node that never comes back must not block the rule set for ever.
  "rolling-back": { abort: "aborted", "finish-roll-back": "rolled-back" },
  "rolled-back": {},
};

export const after = (state: RolloutState, verb: RolloutVerb): RolloutState | null =>
  machine[state][verb] ?? null;

export const isActive = (state: RolloutState): boolean =>
  state === "running" || state === "paused" || state === "rolling-back";

// ---- what a node shows

/** A node that a step has reached. */
export interface ReachedNode {
  hostname: string;
  /** What it should run now: by the step, or by the roll back. */
  target: { version: RuleVersion; generation: number };
  /** What it says of the rule set; null: nothing yet. */
  installed: Installed | null;
  reportAgeMs: number | null;
  /** Lost since the step began. */
  eventsLost: number;
}

export type NodeProgress = { kind: "installed" } | { kind: "pending" } | { kind: "refused"; detail: string };

export function progressOf({ target, installed }: Pick<ReachedNode, "target" | "installed">): NodeProgress {
  // An answer to an earlier assignment says nothing about this one.
  if (installed === null || installed.generation < target.generation) return { kind: "pending" };
  switch (installed.kind) {
    case "active":
      return installed.version === target.version ? { kind: "installed" } : { kind: "pending" };
    case "kept-last-good":
      return installed.refused === target.version
        ? { kind: "refused", detail: `${installed.because.code}: ${installed.because.detail}` }
        : { kind: "pending" };
  }
}

// ---- the gate

export type Decision =
  | { kind: "advance"; to: number; because: string }
  | { kind: "complete"; because: string }
  | { kind: "rolled-back"; because: string }
  | { kind: "wait"; because: string };

export interface GateInput {
  state: "running" | "rolling-back";
  step: number;
  stepsTotal: number;
  soakMs: number;
  stepAgeMs: number;
  lostEventsMax: number;
  /** A report older than this is no evidence. */
  staleMs: number;
  nodes: readonly ReachedNode[];
}

/** Only evidence advances: what cannot be read waits, and says for what. */
export function gate(input: GateInput): Decision {
  const { nodes, state, step, stepsTotal } = input;
  const wait = (because: string): Decision => ({ kind: "wait", because });
  // Every node was retired: 0 of 0 would pass each test below.
  if (nodes.length === 0)
    return state === "rolling-back"
      ? { kind: "rolled-back", because: "no node is left to roll back" }
      : wait("no node of this step is left: nothing shows that the version is good");

  const progress = nodes.map(node => ({ node, progress: progressOf(node) }));
  const refused = progress.filter(({ progress }) => progress.kind === "refused");
  if (refused[0])
    return wait(
      `${some(refused.map(({ node }) => node))} refused: ${(refused[0].progress as { detail: string }).detail}`,
    );
  const pending = progress.filter(({ progress }) => progress.kind === "pending").map(({ node }) => node);
  const offline = pending.filter(node => isStale(node, input.staleMs));
  if (offline.length > 0) return wait(`${some(offline)} not installed and not reporting`);
  if (pending.length > 0) return wait(`${some(pending)} not installed yet`);
  if (state === "rolling-back")
    return { kind: "rolled-back", because: `${count(nodes.length)} reported the previous version` };

  const stale = nodes.filter(node => isStale(node, input.staleMs));
  if (stale.length > 0) return wait(`no fresh report from ${some(stale)}`);
  const lossy = nodes.filter(node => node.eventsLost > input.lostEventsMax);
  if (lossy.length > 0)
    return wait(
      `${some(lossy)} lost ${Math.max(...lossy.map(node => node.eventsLost))} events since the step began; ${input.lostEventsMax} are allowed`,
    );
  const leftMs = input.soakMs - input.stepAgeMs;
  if (leftMs > 0) return wait("soaking");

  const because = `soaked; ${count(nodes.length)} installed, none lost events beyond ${input.lostEventsMax}`;
  return step + 1 < stepsTotal ? { kind: "advance", to: step + 1, because } : { kind: "complete", because };
}

const isStale = (node: ReachedNode, staleMs: number): boolean =>
  node.reportAgeMs === null || node.reportAgeMs > staleMs;

const count = (nodes: number): string => (nodes === 1 ? "1 node" : `${nodes} nodes`);

/** Names a few, counts the rest. */
function some(nodes: readonly { hostname: string }[]): string {
  const named = nodes.slice(0, 3).map(({ hostname }) => hostname);
  const rest = nodes.length - named.length;
  return rest > 0 ? `${named.join(", ")} and ${rest} more` : named.join(", ");
}

// ---- what is stable

export interface CompleteRollout {
  version: RuleVersion;
  selector: Record<string, string>;
  sequence: number;
}

export function selects(selector: Record<string, string>, labels: Record<string, string>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** Of one rule set: the last complete rollout that selects the node; null when there is none. */
export function stableFor<R extends CompleteRollout>(
  labels: Record<string, string>,
  complete: readonly R[],
): R | null {
  return complete
    .filter(({ selector }) => selects(selector, labels))
    .reduce<R | null>((last, next) => (last === null || next.sequence > last.sequence ? next : last), null);
}
