/**
 * The signals of the gate and what is found of each: canary against control, over the time that a step soaks. `worse`
 * rolls back, `fine` is shown to be no worse by more than what matters, `open` is neither yet, `unread` has no data.
 * The chance of a wrong `worse` is divided among steps and signals (Bonferroni), so alpha holds for a whole rollout.
 */
import type { SignalFinding } from "@picket/shared/api";
import type { RuleSetName } from "@picket/shared/ids";
import type { Counted } from "../../db/totals.ts";
import { CANARIES_MIN, compare, type Observation } from "./compare.ts";
import { eValueOfFailures } from "./sequential.ts";

export interface Sample {
  /** What it counted in the ten to twenty minutes before the step. */
  before: Counted | null;
  /** What it counted since the step began for it. */
  during: Counted;
  /** No report for longer than reports may take. */
  silent: boolean;
}

export interface Samples {
  canary: readonly Sample[];
  control: readonly Sample[];
}

interface Signal {
  signal: string;
  title: string;
  unit: "share" | "cores" | "bytes";
  counts: boolean;
  /** Fewer say nothing. */
  ofMin: number;
  /** A difference below this does not matter; of the control's figure. */
  margin: (control: number) => number;
  /** Null: the node does not tell. */
  read: (counted: Counted) => { of: number; hits: number } | null;
}

/** A "fine" may be wrong so often, over all looks. */
const FINE_ALPHA = 0.05;
/**
 * Watched for less, a node does not say what its agent takes: one that has installed reports, is asked to again, and
 * all that its agent did in that moment is to make a report, which is several per cent of a core.
 */
const CPU_WATCHED_S_MIN = 30;
/** What "slow" means: as slow as the slowest twentieth is without the version. */
const SLOW_SHARE = 0.05;

export function findings(
  ruleSet: RuleSetName,
  samples: Samples,
  { alpha, stepsTotal }: { alpha: number; stepsTotal: number },
): SignalFinding[] {
  const signals = signalsOf(ruleSet, samples);
  const threshold = ((signals.length + 1) * stepsTotal) / alpha;
  return [crashes(samples, threshold), ...signals.map(signal => finding(signal, samples, threshold))];
}

function signalsOf(ruleSet: RuleSetName, samples: Samples): Signal[] {
  const statements = (hits: (set: Counted["sets"][string]) => number) => (counted: Counted) => {
    const set = counted.sets[ruleSet];
    return set ? { of: set.statements, hits: hits(set) } : { of: 0, hits: 0 };
  };
  const edge = slowEdge(ruleSet, samples);
  return [
    {
      signal: "database-errors",
      title: "database errors per response",
      unit: "share",
      counts: true,
      ofMin: 1_000,
      margin: control => Math.max(0.002, control),
      read: counted => {
        const responses = counted.sets[ruleSet]?.responses;
        return responses ? { of: responses.ok + responses.errors, hits: responses.errors } : null;
      },
    },
    {
      signal: "latency",
      title: edge === null ? "slow responses" : `responses that took ${microseconds(2 ** edge)} or longer`,
      unit: "share",
      counts: true,
      ofMin: 1_000,
      margin: control => Math.max(0.01, 0.4 * control),
      read: counted => {
        const latency = counted.sets[ruleSet]?.responses?.latencyLog2Us;
        if (!latency || edge === null) return null;
        return { of: total(latency), hits: total(latency, edge) };
      },
    },
    {
      signal: "blocked",
      title: "statements blocked",
      unit: "share",
      counts: true,
      ofMin: 1_000,
      margin: control => Math.max(0.002, control),
      read: statements(set => set.blocked),
    },
    {
      signal: "would-block",
      title: "statements that would be blocked",
      unit: "share",
      counts: true,
      ofMin: 1_000,
      margin: control => Math.max(0.005, control),
      read: statements(set => set.wouldBlock),
    },
    {
      signal: "never-known",
      title: "statements without a shape",
      unit: "share",
      counts: true,
      ofMin: 1_000,
      margin: control => Math.max(0.02, control),
      read: statements(set => set.neverKnown),
    },
    {
      signal: "event-loss",
      title: "events lost",
      unit: "share",
      counts: true,
      ofMin: 0,
      margin: control => Math.max(0.01, control),
      read: counted => ({ of: counted.emitted, hits: counted.lost }),
    },
    {
      signal: "agent-cpu",
      title: "CPU of the agent",
      unit: "cores",
      counts: false,
      ofMin: 1,
      margin: control => Math.max(0.01, 0.5 * control),
      // A mean of the time, not a count of it: each node weighs the same.
      read: counted =>
        counted.seconds >= CPU_WATCHED_S_MIN
          ? { of: 1, hits: counted.cpuSeconds / counted.seconds }
          : { of: 0, hits: 0 },
    },
    {
      signal: "agent-memory",
      title: "memory of the agent",
      unit: "bytes",
      counts: false,
      ofMin: 1,
      margin: control => Math.max(16 << 20, 0.25 * control),
      read: counted => (counted.seconds > 0 ? { of: 1, hits: counted.residentBytes } : { of: 0, hits: 0 }),
    },
  ];
}

function finding(signal: Signal, samples: Samples, threshold: number): SignalFinding {
  const { title, unit, counts, margin } = signal;
  const base = { signal: signal.signal, title, unit, threshold };
  const [canary, control] = [samples.canary, samples.control].map(arm => observe(signal, arm));
  if (canary!.unread > 0 || control!.unread > 0) {
    const silent = canary!.unread + control!.unread;
    return {
      ...base,
      ...nothing,
      finding: "unread",
      why: `${silent} of ${samples.canary.length + samples.control.length} nodes do not tell`,
    };
  }
  const of = canary!.observations.reduce((sum, each) => sum + each.of, 0);
  const settings = { counts, scale: margin, alpha: FINE_ALPHA };
  const compared = compare(canary!.observations, control!.observations, settings);
  // Without a statement there is no wrong statement; without an event none is lost.
  if (compared === null || of < signal.ofMin)
    return {
      ...base,
      ...nothing,
      finding: signal.ofMin === 0 && of === 0 ? "fine" : "open",
      why:
        signal.ofMin === 0 && of === 0
          ? "none happened on the canary"
          : compared === null
            ? "too few nodes to compare"
            : `${of} of the ${signal.ofMin} that the canary must have seen`,
    };
  const { difference, upper, eValue } = compared;
  const matters = margin(compared.control.hits / compared.control.of);
  const figures = {
    canary: compared.canary,
    control: compared.control,
    difference,
    upper,
    margin: matters,
    eValue,
  };
  if (eValue >= threshold && difference >= matters / 2)
    return { ...base, ...figures, finding: "worse", why: "worse than where the version does not run" };
  if (upper < matters) return { ...base, ...figures, finding: "fine", why: "no worse by what matters" };
  return {
    ...base,
    ...figures,
    finding: "open",
    why:
      eValue >= threshold / 100 && difference >= matters / 2
        ? "looks worse, not yet beyond doubt"
        : compared.canary.nodes < CANARIES_MIN
          ? `fewer than ${CANARIES_MIN} canary nodes: chance cannot be told from harm`
          : "may still be worse by what matters",
  };
}

const nothing = { canary: null, control: null, difference: null, upper: null, margin: null, eValue: null };

function observe(signal: Signal, arm: readonly Sample[]): { observations: Observation[]; unread: number } {
  let unread = 0;
  const observations: Observation[] = [];
  for (const { before, during } of arm) {
    const now = signal.read(during);
    if (now === null) {
      unread += 1;
      continue;
    }
    const then = before && signal.read(before);
    observations.push({ ...now, ofBefore: then?.of ?? 0, hitsBefore: then?.hits ?? 0 });
  }
  return { observations, unread };
}

/** Nodes that fell silent or whose agent began anew, by the time that each arm was watched. */
function crashes({ canary, control }: Samples, threshold: number): SignalFinding {
  const arm = (samples: readonly Sample[]) => ({
    nodes: samples.length,
    hits: samples.filter(({ silent, during }) => silent || during.restarts > 0).length,
    of: samples.reduce((sum, { during }) => sum + Math.max(during.seconds, 1), 0),
  });
  const [left, right] = [arm(canary), arm(control)];
  const eValue = eValueOfFailures({ canary: left.hits, control: right.hits }, left.of / (left.of + right.of));
  const rates = [left.hits / left.of, right.of > 0 ? right.hits / right.of : 0] as const;
  const base = {
    signal: "crashes",
    title: "nodes that fell silent or restarted their agent",
    unit: "nodes" as const,
    canary: { ...left, of: left.nodes },
    control: { ...right, of: right.nodes },
    difference: left.hits / left.nodes - (right.nodes > 0 ? right.hits / right.nodes : 0),
    upper: null,
    margin: null,
    eValue,
    threshold,
  };
  if (eValue >= threshold)
    return { ...base, finding: "worse", why: "more often than where the version does not run" };
  if (rates[0] <= rates[1]) return { ...base, finding: "fine", why: "no more often than elsewhere" };
  return { ...base, finding: "open", why: "more often than elsewhere, not yet beyond doubt" };
}

/** The bucket from which on a response is slow: nearest to the slowest twentieth, by what ran without the version. */
function slowEdge(ruleSet: RuleSetName, { canary, control }: Samples): number | null {
  const latency: number[] = [];
  const add = (counted: Counted | null) =>
    counted?.sets[ruleSet]?.responses?.latencyLog2Us.forEach((count, i) => {
      latency[i] = (latency[i] ?? 0) + count;
    });
  for (const { before } of [...canary, ...control]) add(before);
  for (const { during } of control) add(during);
  const all = total(latency);
  if (all === 0) return null;
  let best: number | null = null;
  let off = Number.POSITIVE_INFINITY;
  let tail = all;
  for (let edge = 1; edge < latency.length; edge++) {
    tail -= latency[edge - 1] ?? 0;
    if (tail === 0) break;
    const distance = Math.abs(Math.log(tail / all / SLOW_SHARE));
    if (distance < off) [best, off] = [edge, distance];
  }
  return best;
}

const microseconds = (us: number): string =>
  us >= 1_000_000 ? `${(us / 1e6).toFixed(1)} s` : us >= 1_000 ? `${(us / 1e3).toFixed(1)} ms` : `${us} µs`;

function total(counts: readonly number[], from = 0): number {
  let sum = 0;
  for (let i = from; i < counts.length; i++) sum += counts[i]!;
  return sum;
}
