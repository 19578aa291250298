/**
 * A loop of the uplink runs until the agent leaves or stops. What it throws is never the control plane's word, which
 * comes as a value, but a disk that is full or a fault of this program: said, counted, and the loop begins anew after
 * a while. A node that no longer listens would keep its old rules until somebody starts it again.
 */
import type { Log } from "../log.ts";
import { backoffMs } from "./backoff.ts";
import { sleep } from "./sleep.ts";

export async function keepRunning(
  name: string,
  loop: () => Promise<void>,
  input: { log: Log; signal: AbortSignal; random?: () => number; wait?: typeof sleep },
): Promise<void> {
  const { log, signal, random = Math.random, wait = sleep } = input;
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      await loop();
      return;
    } catch (error) {
      log.error(
        { loop: name, failures, error: String(error) },
        "a loop of the uplink failed and begins anew",
      );
    }
    await wait(backoffMs(failures, random()), signal);
  }
}
