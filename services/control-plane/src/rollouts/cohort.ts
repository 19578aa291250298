/**
 * Who is in which step. A node's bucket is hash(salt, node) mod 10,000. A step takes the buckets below its threshold,
 * and never fewer than the lowest planned one: so a later step contains an earlier one, and a node that joins later
 * knows its step by itself. The salt is chosen among several so that a small fleet's steps come out as near to their
 * percentages as whole nodes allow (20 % of five is one).
 */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import type { NodeId, RuleVersion } from "@picket/shared/ids";

export const BUCKETS = 10_000;

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
