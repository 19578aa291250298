/**
 * Long work on the one thread that also answers for held statements, whose deadline is tens of milliseconds: between
 * its steps it lets others run, once it has had the thread for a while.
 */
import { setImmediate } from "node:timers/promises";

const SLICE_MS = 4;

/** Called between steps. */
export function breather(): () => Promise<void> {
  let sinceMs = performance.now();
  return async () => {
    if (performance.now() - sinceMs < SLICE_MS) return;
    await setImmediate();
    sinceMs = performance.now();
  };
}
