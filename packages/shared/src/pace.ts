/**
 * How often a node calls by itself. A small fleet calls often; a large one is told to stretch every timer by the same
 * factor, so that what idle nodes ask of the control plane stays bounded however many there are.
 */
import { z } from "zod";

/** Seconds between two calls of a kind: at most so long for a poll that finds nothing, about so long for the others. */
export const Pace = z.strictObject({
  poll: z.int().min(1).max(1_800),
  report: z.int().min(1).max(3_600),
  reconcile: z.int().min(1).max(3_600),
});
export type Pace = z.infer<typeof Pace>;

/** Until the control plane says otherwise, and of a node that a rollout watches. */
export const FULL_PACE: Pace = { poll: 25, report: 15, reconcile: 60 };

/** A node's, in a second. */
const CALLS_AT_FULL_PACE = 1 / FULL_PACE.poll + 1 / FULL_PACE.report + 1 / FULL_PACE.reconcile;

/**
 * A node that reports every quarter of an hour is still found when it is lost, and what was not rung for comes within
 * the hour.
 */
const SLOWEST: Pace = { poll: 1_800, report: 900, reconcile: 3_600 };

/** What idle nodes may ask together where nobody says otherwise. */
export const IDLE_CALLS_PER_SECOND = 250;

/** The pace at which so many nodes make at most so many calls a second, as far as the slowest allows. */
export function paceOf(nodes: number, callsPerSecond: number): Pace {
  const stretch = Math.max(1, (nodes * CALLS_AT_FULL_PACE) / callsPerSecond);
  const every = (kind: keyof Pace): number => Math.min(SLOWEST[kind], Math.ceil(FULL_PACE[kind] * stretch));
  return { poll: every("poll"), report: every("report"), reconcile: every("reconcile") };
}

/**
 * How long to wait, besides the usual backoff, before a first new try when a poll was lost: what breaks one connection
 * of a large fleet breaks many. They come back over the time in which they would make one call each at what the control
 * plane is willing to answer; faster, and the polls of the first end before the last are in. `random` is in [0, 1).
 */
export function returnDelayMs(pace: Pace, random: number): number {
  const stretch = pace.reconcile / FULL_PACE.reconcile;
  return stretch <= 1 ? 0 : Math.round((stretch * 1_000 * random) / CALLS_AT_FULL_PACE);
}

/** Below it a lost poll says nothing of who ended it. */
const CUT_S_MIN = 5;
/** After so many polls that waited as long as they were let, the told wait is tried again. */
const TRIED_AGAIN_AFTER = 100;

/**
 * For how long a node's polls wait. What lies between it and its gateway (a proxy, a load balancer) may end what is
 * silent, and does so always at the same age: after two polls that were lost at about one age, none waits that long.
 */
export class PollWait {
  #lostAtS = 0;
  #mostS = Number.POSITIVE_INFINITY;
  #waited = 0;

  /** Of the next poll. */
  seconds(pace: Pace): number {
    return Math.min(pace.poll, this.#mostS);
  }

  /** There was nothing after the wait. */
  ended(): void {
    if (++this.#waited < TRIED_AGAIN_AFTER) return;
    this.#waited = 0;
    this.#mostS = Number.POSITIVE_INFINITY;
  }

  /** After so many seconds without an answer of the gateway. */
  lost(afterS: number): void {
    if (afterS < CUT_S_MIN) return;
    if (Math.abs(afterS - this.#lostAtS) <= 0.1 * afterS) {
      this.#mostS = Math.max(1, Math.floor(0.8 * Math.min(afterS, this.#lostAtS)));
      this.#waited = 0;
    }
    this.#lostAtS = afterS;
  }
}
