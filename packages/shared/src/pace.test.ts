import { expect, test } from "vitest";
import { FULL_PACE, Pace, paceOf, returnDelayMs } from "./pace.ts";

test.each([
  [0, FULL_PACE],
  [1, FULL_PACE],
  [8_100, FULL_PACE],
  [20_000, { poll: 62, report: 37, reconcile: 148 }],
  [100_000, { poll: 240, report: 185, reconcile: 740 }],
  [10_000_000, { poll: 240, report: 600, reconcile: 1_800 }],
])("%i nodes at 1,000 calls a second", (nodes, pace) => {
  expect(paceOf(nodes, 1_000)).toEqual(pace);
});

test("a pace can be told, is never faster than full, and slows down with the fleet", () => {
  for (const calls of [1, 7, 1_000, 1_000_000]) {
    let fewer = FULL_PACE;
    for (let nodes = 1; nodes < 4_000_000; nodes = Math.ceil(nodes * 1.3)) {
      const more = paceOf(nodes, calls);
      expect(Pace.safeParse(more).success).toBe(true);
      for (const kind of ["poll", "report", "reconcile"] as const)
        expect(more[kind]).toBeGreaterThanOrEqual(fewer[kind]);
      fewer = more;
    }
  }
});

test("a small fleet comes back at once, a large one at the rate of its calls", () => {
  expect(returnDelayMs(paceOf(5_000, 1_000), 0.99)).toBe(0);
  expect(returnDelayMs(paceOf(20_000, 250), 1)).toBe(80_000);
  expect(returnDelayMs(paceOf(100_000, 1_000), 1)).toBe(100_000);
});
