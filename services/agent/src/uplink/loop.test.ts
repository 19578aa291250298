import { expect, test } from "vitest";
import { type Log, silentLog } from "../log.ts";
import { keepRunning } from "./loop.ts";

test("a loop that throws begins anew, each time later and up to a minute, and its failures are counted", async () => {
  const stop = new AbortController();
  const waits: number[] = [];
  const told: unknown[] = [];
  const log = { ...silentLog, error: (of: unknown) => told.push(of) } as unknown as Log;
  let runs = 0;
  await keepRunning(
    "listen",
    async () => {
      runs += 1;
      if (runs <= 9) throw new Error("ENOSPC");
    },
    {
      log,
      signal: stop.signal,
      random: () => 1,
      wait: async ms => {
        waits.push(ms);
      },
    },
  );
  expect(runs).toBe(10);
  expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  expect(told.at(-1)).toEqual({ loop: "listen", failures: 9, error: "Error: ENOSPC" });
});

test("one that throws while the agent stops does not begin anew", async () => {
  const stop = new AbortController();
  let runs = 0;
  await keepRunning(
    "listen",
    async () => {
      runs += 1;
      stop.abort();
      throw new Error("gone");
    },
    { log: silentLog, signal: stop.signal },
  );
  expect(runs).toBe(1);
});
