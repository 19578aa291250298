/**
 * Canary and control nodes in virtual time, judged by the gate's own code and looked at with every report, as in a
 * real rollout. Nodes are unlike one another in traffic and in what is usual on them, drift by themselves, and share
 * bad minutes.
 */
import type { Counted } from "@picket/control-plane/db/totals";
import { findings, type Sample } from "@picket/control-plane/rollouts/gate/signals";
import type { RuleSetName } from "@picket/shared/ids";

const SET = "shop" as RuleSetName;
export const LOOK_S = 15;
export const SOAK_S = 1_800;
const BEFORE_S = 900;
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
  harm: Harm;
}
interface Harm {
  errors?: number;
  latencyFactor?: number;
  blocked?: number;
  memoryBytes?: number;
  cpuCores?: number;
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
  readonly canary: boolean;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #perSecond: number;
  readonly #errors: number;
  readonly #shares: number[];
  readonly #cores: number;
  readonly #memory: number;
  before: Counted;
  during: Counted;
  readonly #blocked: number;
  constructor(world: World, chance: Chance, canary: boolean) {
    const { unlike, drift, harm } = world;
    this.#world = world;
    this.#chance = chance;
    this.canary = canary;
    this.#perSecond = world.perSecond * chance.factor(unlike);
    const errors = world.errors * chance.factor(unlike);
    const median = 800 * chance.factor(unlike / 2);
    const cores = 0.01 * chance.factor(unlike);
    this.before = this.#count(BEFORE_S, errors, latencyShares(median, 0.8), cores, 0.0001, 1);
    const worse = canary ? harm : {};
    this.#errors = errors * chance.factor(drift) + (worse.errors ?? 0);
    this.#shares = latencyShares(median * chance.factor(drift / 4) * (worse.latencyFactor ?? 1), 0.8);
    this.#cores = cores * chance.factor(drift) + (worse.cpuCores ?? 0);
    this.#memory = 60e6 * chance.factor(unlike / 4) + (worse.memoryBytes ?? 0);
    this.#blocked = 0.0001 * chance.factor(drift) + (worse.blocked ?? 0);
    this.during = this.#count(0, 0, this.#shares, 0, 0, 1);
    this.before.residentBytes = this.#memory - (worse.memoryBytes ?? 0);
  }

  live(seconds: number, badness: number): void {
    const more = this.#count(seconds, this.#errors, this.#shares, this.#cores, this.#blocked, badness);
    const add = (a: Counted, b: Counted): void => {
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
    };
    add(this.during, more);
    this.during.residentBytes = this.#memory * (1 + 0.02 * this.#chance.normal());
    const crashes = this.canary ? (this.#world.harm.crashesPerHour ?? 0) : 0;
    if (this.#chance.unit() < (crashes * seconds) / 3_600) this.during.restarts += 1;
  }

  #count(
    seconds: number,
    errors: number,
    shares: readonly number[],
    cores: number,
    blocked: number,
    badness: number,
  ): Counted {
    const statements = this.#chance.poisson(this.#perSecond * seconds);
    const failed = Math.min(statements, this.#chance.poisson(statements * errors * badness));
    return {
      atMs: 0,
      seconds,
      cpuSeconds: cores * seconds * this.#chance.factor(0.1),
      restarts: 0,
      emitted: Math.round(statements / 50),
      lost: 0,
      residentBytes: this.#memory,
      sets: {
        [SET]: {
          statements,
          blocked: this.#chance.poisson(statements * blocked),
          wouldBlock: 0,
          neverKnown: this.#chance.poisson(statements * 0.01),
          responses: {
            ok: statements - failed,
            errors: failed,
            latencyLog2Us: shares.map(share => this.#chance.poisson(statements * share)),
          },
        },
      },
    };
  }

  sample(): Sample {
    return { before: this.before, during: this.during, silent: false };
  }
}

export interface Outcome {
  worseAtS: number | null;
  by: string | null;
  fineAtS: number | null;
}

export function soak(world: World, seed: number): Outcome {
  const chance = new Chance(seed);
  const nodes = Array.from(
    { length: world.canaries + world.controls },
    (_, i) => new Node(world, chance, i < world.canaries),
  );
  let bad = false;
  let fineAtS: number | null = null;
  for (let at = LOOK_S; at <= SOAK_S; at += LOOK_S) {
    if (at % 60 === LOOK_S) bad = chance.unit() < world.badMinute;
    for (const node of nodes) node.live(LOOK_S, bad ? 10 : 1);
    const found = findings(
      SET,
      {
        canary: nodes.filter(({ canary }) => canary).map(node => node.sample()),
        control: nodes.filter(({ canary }) => !canary).map(node => node.sample()),
      },
      { alpha: ALPHA, stepsTotal: STEPS },
    );
    const worse = found.find(({ finding }) => finding === "worse");
    if (worse) return { worseAtS: at, by: worse.signal, fineAtS };
    if (fineAtS === null && found.every(({ finding }) => finding === "fine")) fineAtS = at;
  }
  return { worseAtS: null, by: null, fineAtS };
}
