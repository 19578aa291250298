/**
 * Canary against control for one signal, each node one observation: what happens on a node is not independent, and
 * nodes differ, so the spread between nodes and not the number of statements says how sure one may be. A node's own
 * figure from before the step is taken off as far as it predicts (CUPED: Deng et al. 2013), which removes most of
 * that spread.
 */
import { confidenceRadius, type Estimate, eValueOfHarm } from "./sequential.ts";

/** Of one node: so many of so many, while the step soaks and before it. A gauge is its mean, of 1. */
export interface Observation {
  of: number;
  hits: number;
  ofBefore: number;
  hitsBefore: number;
}

export interface Arm {
  nodes: number;
  of: number;
  hits: number;
}

export interface Comparison extends Estimate {
  canary: Arm;
  control: Arm;
  /** How much of a node's earlier figure was taken off: 0 to 1. */
  carried: number;
  /** At least 1/α: worse, at any look. */
  eValue: number;
  /** Below this the difference lies, but for `alpha` over all looks. */
  upper: number;
}

/** Fewer nodes, both arms counted, have no spread to speak of. */
export const NODES_MIN = 6;

export interface Settings {
  /** Hits are counted, and not a gauge's mean. */
  counts: boolean;
  /** The effect that matters, of the control's rate. */
  scale: (controlRate: number) => number;
  alpha: number;
}

/** Fewer canary nodes show what is wrong with one of them, and not with the version. */
export const CANARIES_MIN = 3;
/** Of a canary, counted: below, chance has no bell shape. */
export const HITS_MIN = 10;

/**
 * Null where there is too little to compare. What is held against a version must hold without the canary that
 * speaks loudest against it, too: one node with a problem of its own rolls nothing back.
 */
export function compare(
  canary: readonly Observation[],
  control: readonly Observation[],
  settings: Settings,
): Comparison | null {
  const whole = compareAll(canary, control, settings);
  if (whole === null) return null;
  if (whole.canary.nodes < CANARIES_MIN || (settings.counts && whole.canary.hits < HITS_MIN))
    return { ...whole, eValue: Math.min(whole.eValue, 1) };
  // Nothing is held against it that one canary less could take back.
  if (whole.eValue <= 1) return whole;
  const loudest = canary.reduce((most, node) =>
    excessOf(node, whole) > excessOf(most, whole) ? node : most,
  );
  const rest = compareAll(
    canary.filter(node => node !== loudest),
    control,
    settings,
  );
  return { ...whole, eValue: Math.min(whole.eValue, rest?.eValue ?? 0) };
}

const excessOf = (node: Observation, { control }: Comparison): number =>
  node.hits - (control.hits / control.of) * node.of;

function compareAll(
  canary: readonly Observation[],
  control: readonly Observation[],
  { counts, scale, alpha }: Settings,
): Comparison | null {
  const arms = [canary, control].map(arm => arm.filter(({ of }) => of > 0)) as [Observation[], Observation[]];
  const all = arms.flat();
  if (arms[0].length === 0 || arms[1].length < 2 || all.length < NODES_MIN) return null;
  const totals = arms.map(armOf) as [Arm, Arm];

  const rate = sum(all, ({ hits }) => hits) / sum(all, ({ of }) => of);
  const watchedBefore = sum(all, ({ ofBefore }) => ofBefore);
  const rateBefore = watchedBefore > 0 ? sum(all, ({ hitsBefore }) => hitsBefore) / watchedBefore : 0;
  /** How far the node was off before, in hits at its present size. */
  const habit = ({ of, ofBefore, hitsBefore }: Observation): number =>
    ofBefore > 0 ? of * (hitsBefore / ofBefore - rateBefore) : 0;
  const carried = slope(arms, rate, habit);
  const used = carried > 0 ? 3 : 2;

  const excess = (node: Observation): number => node.hits - rate * node.of - carried * habit(node);
  const effects = arms.map(arm => sum(arm, excess) / sum(arm, ({ of }) => of)) as [number, number];

  // Of a proportion the least possible variance is known; what is beyond it is nodes that differ.
  const anyRate =
    (sum(all, ({ hits, hitsBefore }) => hits + hitsBefore) + 0.5) /
    (sum(all, ({ of }) => of) + watchedBefore + 1);
  const unit = counts ? Math.max(anyRate * (1 - anyRate), 0) : 0;
  const chance = ({ of, ofBefore }: Observation): number =>
    unit * (of + (carried > 0 && ofBefore > 0 ? (carried * carried * of * of) / ofBefore : 0));
  const residuals = sum(
    arms.flatMap((arm, i) => arm.map(node => (excess(node) - effects[i]! * node.of) ** 2)),
    each => each,
  );
  const degrees = all.length - used;
  const between = Math.max(
    0,
    ((residuals * all.length) / degrees - sum(all, chance)) / sum(all, ({ of }) => of * of),
  );
  const controlRate = totals[1].hits / totals[1].of;
  const wager = scale(controlRate);
  // Gauges that all show exactly the same leave no spread: then a thousandth of what matters is the least.
  const variance = Math.max(
    (wager / 1_000) ** 2,
    sum(arms, arm => sum(arm, node => chance(node) + between * node.of ** 2) / sum(arm, ({ of }) => of) ** 2),
  );
  const estimate = { difference: effects[0] - effects[1], standardError: Math.sqrt(variance), degrees };
  return {
    ...estimate,
    canary: totals[0],
    control: totals[1],
    carried,
    eValue: eValueOfHarm(estimate, wager),
    upper: estimate.difference + confidenceRadius(estimate, wager, alpha),
  };
}

/** Least squares within the arms, so that an effect of the step is not taken for a habit. */
function slope(arms: readonly Observation[][], rate: number, habit: (node: Observation) => number): number {
  let xy = 0;
  let xx = 0;
  for (const arm of arms) {
    const of = sum(arm, node => node.of);
    const meanX = sum(arm, habit) / of;
    const meanY = sum(arm, node => node.hits - rate * node.of) / of;
    for (const node of arm) {
      const x = habit(node) - meanX * node.of;
      xy += x * (node.hits - rate * node.of - meanY * node.of);
      xx += x * x;
    }
  }
  return xx > 0 ? Math.min(1, Math.max(0, xy / xx)) : 0;
}

const armOf = (arm: readonly Observation[]): Arm => ({
  nodes: arm.length,
  of: sum(arm, ({ of }) => of),
  hits: sum(arm, ({ hits }) => hits),
});

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}
