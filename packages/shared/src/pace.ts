/**
 * How often a node calls by itself. A small fleet calls often; a large one is told to stretch every timer by the same
 * factor, so that what idle nodes ask of the control plane stays bounded however many there are.
 */
import { z } from "zod";

/** Seconds between two calls of a kind: at most so long for a poll that finds nothing, about so long for the others. */
export const Pace = z.strictObject({
  poll: z.int().min(1).max(300),
  report: z.int().min(1).max(3_600),
  reconcile: z.int().min(1).max(3_600),
});
export type Pace = z.infer<typeof Pace>;

/** Until the control plane says otherwise, and of a node that a rollout watches. */
export const FULL_PACE: Pace = { poll: 25, report: 15, reconcile: 60 };

/** A node's, in a second. */
const CALLS_AT_FULL_PACE = 1 / FULL_PACE.poll + 1 / FULL_PACE.report + 1 / FULL_PACE.reconcile;

/** Load balancers end what is silent for some minutes; a node that reports every ten is still found when it is lost. */
const SLOWEST: Pace = { poll: 240, report: 600, reconcile: 1_800 };

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
