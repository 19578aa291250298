/**
 * Many callers, one statement: calls that come in one turn of the event loop, while the last batch is under way, or
 * sooner than `everyMs` after it began, are done together. A caller that is alone waits for nobody.
 */
import { setTimeout as pause } from "node:timers/promises";

interface Waiting<In, Out> {
  input: In;
  resolve(output: Out): void;
  reject(error: unknown): void;
}

/** `work` answers in the order of its inputs. When it throws, each caller of the batch hears it. */
export function batched<In, Out>(
  work: (inputs: In[]) => Promise<readonly Out[]>,
  { most, everyMs = 0 }: { most: number; everyMs?: number },
): (input: In) => Promise<Out> {
  let waiting: Waiting<In, Out>[] = [];
  let running = false;
  let beganMs = Number.NEGATIVE_INFINITY;
  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const earlyMs = beganMs + everyMs - performance.now();
      if (earlyMs > 0 && waiting.length < most) await pause(earlyMs);
      beganMs = performance.now();
      const batch = waiting.slice(0, most);
      waiting = waiting.slice(most);
      try {
        const outputs = await work(batch.map(({ input }) => input));
        for (const [i, { resolve }] of batch.entries()) resolve(outputs[i]!);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    running = false;
  };
  return input =>
    new Promise((resolve, reject) => {
      waiting.push({ input, resolve, reject });
      if (running) return;
      running = true;
      setImmediate(() => void run());
    });
}
