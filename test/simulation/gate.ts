/**
 * Canary and control nodes in virtual time, judged by the gate's own code and looked at with every report, as in a
 * real rollout. Nodes are unlike one another in traffic and in what is usual on them, drift by themselves, share
 * bad minutes, restart, fall silent for a while and lose events, whatever version they run.
 */
import type { Counted } from "@picket/control-plane/db/totals";
import { findings, type Sample } from "@picket/control-plane/rollouts/gate/signals";
import type { RuleSetName } from "@picket/shared/ids";

const SET = "shop" as RuleSetName;
export const LOOK_S = 15;
export const SOAK_S = 1_800;
const BEFORE_S = 900;
/** A step that is not shown fine when its soak is over waits so long before a person is asked, who lets it go on. */
const ASK_AFTER_S = 3_600;
/** As long as a host takes to boot; the gate takes a node for silent without a report for SILENT_S. */
const AWAY_S = 180;
const SILENT_S = 90;
/** A node that has installed says so, and is asked to say more from when it is watched: measured 0.14 to 0.39 s later. */
const AGAIN_S = 0.3;
/** What making a report takes: measured 5 to 7 ms. */
const REPORT_CPU_S = 0.006;
export const ALPHA = 0.01;
export const STEPS = 3;

export interface World {
  canaries: number;
  controls: number;
  perSecond: number;
  /** Log-normal spread between nodes of traffic, and of error rate, latency, CPU and memory. */
  unlike: number;
  /** Log-normal spread of what changes on a node by itself between before and after. */
  drift: number;
  /** Probability that a minute is a bad one, for all nodes alike: ten times the errors. */
  badMinute: number;
  errors: number;
  /** What the agent takes of a processor. */
  cores: number;
  /** Of every node, per hour: its agent begins anew, or its host is away for a while. */
  restartsPerHour: number;
  awayPerHour: number;
  /** Of all nodes, per hour: a tenth of them, whichever, begin anew in the same moment. */
  wavesPerHour: number;
  /** Probability that a node loses a fifth of its events in a look's time. */
  losing: number;
  harm: Harm;
}
interface Harm {
  errors?: number;
  latencyFactor?: number;
  blocked?: number;
  memoryBytes?: number;
  cpuCores?: number;
  cpuFactor?: number;
  /** Of all events. */
  lost?: number;
  /** Of the canary nodes, per hour. */
  crashesPerHour?: number;
}

export const usual: World = {
  canaries: 20,
  controls: 80,
  perSecond: 10,
  unlike: 0.5,
  drift: 0.2,
  badMinute: 0.02,
  errors: 0.001,
  cores: 0.01,
  restartsPerHour: 0.01,
  awayPerHour: 0.005,
  wavesPerHour: 0,
  losing: 0.001,
  harm: {},
};

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The kernel clocks a statement when the connection's last clocked one is three ticks old, or it is the sixteenth since.
 * At 250 ticks a second that is 8 to 12 ms. Here it is a little more, and all of a node's statements come on one
 * connection: on such a kernel no node clocks a smaller share than this.
 */
const TIMED_EACH = 16;
const AGE_S = 0.014;
const clockedShare = (perSecond: number): number => 1 / (1 + Math.min(TIMED_EACH - 1, perSecond * AGE_S));

class Chance {
  readonly unit: () => number;
  constructor(seed: number) {
    this.unit = mulberry32(seed);
  }
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.unit())) * Math.cos(2 * Math.PI * this.unit());
  }
  /** Log-normal with mean 1. */
  factor(spread: number): number {
    return Math.exp(spread * this.normal() - (spread * spread) / 2);
  }
  poisson(mean: number): number {
    if (mean > 40) return Math.max(0, Math.round(mean + Math.sqrt(mean) * this.normal()));
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.unit(); product > limit; product *= this.unit()) count += 1;
    return count;
  }
}

/** Of a log-normal latency with this median and spread: the share in each bucket [2^i, 2^(i+1)) µs. */
function latencyShares(medianUs: number, spread: number): number[] {
  const below = (us: number) => cdf((Math.log(us) - Math.log(medianUs)) / spread);
  return Array.from({ length: 24 }, (_, i) => below(2 ** (i + 1)) - (i === 0 ? 0 : below(2 ** i)));
}
/** Φ by the logistic approximation of Bowling et al. 2009 (error below 0.00014): only to draw latencies. */
const cdf = (x: number) => 1 / (1 + Math.exp(-(0.07056 * x ** 3 + 1.5976 * x)));

class Node {
  canary = false;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #perSecond: number;
  readonly #clocked: number;
  readonly #usual: { errors: number; medianUs: number; cores: number; memory: number; restarts: number };
  /** What it is like in this step. */
  #now!: { errors: number; shares: number[]; cores: number; memory: number; blocked: number; lost: number };
  #awayS = 0;
  before!: Counted;
  during: Counted;
  constructor(world: World, chance: Chance) {
    const { unlike } = world;
    this.#world = world;
    this.#chance = chance;
    this.#perSecond = world.perSecond * chance.factor(unlike);
    this.#clocked = clockedShare(this.#perSecond);
    this.#usual = {
      errors: world.errors * chance.factor(unlike),
      medianUs: 800 * chance.factor(unlike / 2),
      cores: world.cores * chance.factor(unlike),
      memory: 60e6 * chance.factor(unlike / 4),
      restarts: world.restartsPerHour * chance.factor(unlike),
    };
    this.#drift({});
    this.during = this.#count(BEFORE_S, 1);
  }

  /** What it counted until now is what was usual on it; from now on it is compared. */
  begin(canary: boolean): void {
    this.canary = canary;
    // As long ago as a mark is at most: what a longer step saw before that is not looked at.
    this.before = shortened(this.during, BEFORE_S);
    this.#drift(canary ? this.#world.harm : {});
    this.during = this.#count(0, 1);
  }

  #drift(harm: Harm): void {
    const { drift } = this.#world;
    const { errors, medianUs, cores, memory } = this.#usual;
    const chance = this.#chance;
    this.#now = {
      errors: errors * chance.factor(drift) + (harm.errors ?? 0),
      shares: latencyShares(medianUs * chance.factor(drift / 4) * (harm.latencyFactor ?? 1), 0.8),
      cores: cores * chance.factor(drift) * (harm.cpuFactor ?? 1) + (harm.cpuCores ?? 0),
      memory: memory + (harm.memoryBytes ?? 0),
      blocked: 0.0001 * chance.factor(drift) + (harm.blocked ?? 0),
      lost: harm.lost ?? 0,
    };
  }

  live(seconds: number, badness: number, wave: boolean): void {
    const { harm, awayPerHour } = this.#world;
    const chance = this.#chance;
    if (this.#awayS === 0 && chance.unit() < (awayPerHour * seconds) / 3_600) this.#awayS = seconds;
    if (this.#awayS > 0) {
      this.#awayS += seconds;
      if (this.#awayS <= AWAY_S) return;
      this.#awayS = 0;
      this.during.restarts += 1; // the agent began with its host
    }
    add(this.during, this.#count(seconds, badness));
    this.during.residentBytes = this.#now.memory * (1 + 0.02 * chance.normal());
    const perHour = this.#usual.restarts + (this.canary ? (harm.crashesPerHour ?? 0) : 0);
    if (chance.unit() < (perHour * seconds) / 3_600 + (wave ? 0.1 : 0)) this.during.restarts += 1;
  }

  #count(seconds: number, badness: number): Counted {
    const { errors, shares, cores, memory, blocked, lost: always } = this.#now;
    const chance = this.#chance;
    const statements = chance.poisson(this.#perSecond * seconds);
    const failed = Math.min(statements, chance.poisson(statements * errors * badness));
    const emitted = Math.round(statements / 50);
    const burst = chance.unit() < this.#world.losing * (seconds / LOOK_S) ? Math.ceil(emitted / 5) : 0;
    const lost = Math.min(emitted, burst + (always > 0 ? chance.poisson(emitted * always) : 0));
    return {
      atMs: 0,
      seconds,
      cpuSeconds: cores * seconds * chance.factor(0.1) + REPORT_CPU_S,
      restarts: 0,
      emitted,
      lost,
      residentBytes: memory,
      sets: {
        [SET]: {
          statements,
          blocked: chance.poisson(statements * blocked),
          wouldBlock: 0,
          neverKnown: chance.poisson(statements * 0.01),
          responses: {
            ok: statements - failed,
            errors: failed,
            latencyLog2Us: shares.map(share => chance.poisson(statements * share * this.#clocked)),
          },
        },
      },
    };
  }

  sample(): Sample {
    return { before: this.before, during: this.during, silent: this.#awayS > SILENT_S };
  }
}

function add(a: Counted, b: Counted): void {
  a.seconds += b.seconds;
  a.cpuSeconds += b.cpuSeconds;
  a.emitted += b.emitted;
  a.lost += b.lost;
  const [x, y] = [a.sets[SET]!, b.sets[SET]!];
  x.statements += y.statements;
  x.blocked += y.blocked;
  x.neverKnown += y.neverKnown;
  x.responses!.ok += y.responses!.ok;
  x.responses!.errors += y.responses!.errors;
  y.responses!.latencyLog2Us.forEach((n, i) => {
    x.responses!.latencyLog2Us[i]! += n;
  });
}

/** The same rates over at most so many seconds. */
function shortened(counted: Counted, seconds: number): Counted {
  if (counted.seconds <= seconds) return counted;
  const part = (n: number) => Math.round((n * seconds) / counted.seconds);
  const { statements, blocked, wouldBlock, neverKnown, responses } = counted.sets[SET]!;
  return {
    ...counted,
    seconds,
    cpuSeconds: (counted.cpuSeconds * seconds) / counted.seconds,
    emitted: part(counted.emitted),
    lost: part(counted.lost),
    sets: {
      [SET]: {
        statements: part(statements),
        blocked: part(blocked),
        wouldBlock: part(wouldBlock),
        neverKnown: part(neverKnown),
        responses: {
          ok: part(responses!.ok),
          errors: part(responses!.errors),
          latencyLog2Us: responses!.latencyLog2Us.map(part),
        },
      },
    },
  };
}

export interface Outcome {
  worseAtS: number | null;
  by: string | null;
  fineAtS: number | null;
}

function makeNodes(world: World, chance: Chance): Node[] {
  return Array.from({ length: world.canaries + world.controls }, () => new Node(world, chance));
}

/** One step whose first `canaries` nodes have the version; it goes on for `untilS`, or from the soak's end on until all is fine. */
function step(
  world: World,
  nodes: readonly Node[],
  chance: Chance,
  { canaries, untilS }: { canaries: number; untilS: number },
): Outcome {
  nodes.forEach((node, i) => {
    node.begin(i < canaries);
  });
  let bad = false;
  let fineAtS: number | null = null;
  for (let at = 0; at <= untilS; at += LOOK_S) {
    if (at % 60 === LOOK_S) bad = chance.unit() < world.badMinute;
    const wave = chance.unit() < (world.wavesPerHour * LOOK_S) / 3_600;
    for (const node of nodes) node.live(at === 0 && node.canary ? AGAIN_S : LOOK_S, bad ? 10 : 1, wave);
    const samples = nodes.map(node => node.sample());
    const found = findings(
      SET,
      { canary: samples.slice(0, canaries), control: samples.slice(canaries) },
      { alpha: ALPHA, stepsTotal: STEPS },
    );
    const worse = found.find(({ finding }) => finding === "worse");
    if (worse) return { worseAtS: at, by: worse.signal, fineAtS };
    const fine = found.every(({ finding }) => finding === "fine");
    if (fine) fineAtS ??= at;
    if (fine && at >= SOAK_S) break;
  }
  return { worseAtS: null, by: null, fineAtS };
}

export function soak(world: World, seed: number): Outcome {
  const chance = new Chance(seed);
  return step(world, makeNodes(world, chance), chance, { canaries: world.canaries, untilS: SOAK_S });
}

/**
 * A whole rollout under `--compare required`: the canaries, then half of all nodes, each step until it is shown fine
 * or a person was asked. The third step takes all and leaves nobody to compare with, so there nothing can be raised.
 */
export function rollout(world: World, seed: number): Outcome {
  const chance = new Chance(seed);
  const nodes = makeNodes(world, chance);
  const untilS = SOAK_S + ASK_AFTER_S;
  const first = step(world, nodes, chance, { canaries: world.canaries, untilS });
  if (first.worseAtS !== null) return first;
  const second = step(world, nodes, chance, { canaries: Math.ceil(nodes.length / 2), untilS });
  return { ...second, fineAtS: second.fineAtS === null ? null : first.fineAtS };
}
