import { expect, test } from "vitest";
import { FULL_PACE, Pace, PollWait, paceOf, returnDelayMs } from "./pace.ts";

test.each([
  [0, FULL_PACE],
  [1, FULL_PACE],
  [8_100, FULL_PACE],
  [20_000, { poll: 62, report: 37, reconcile: 148 }],
  [100_000, { poll: 309, report: 185, reconcile: 740 }],
  [10_000_000, { poll: 1_800, report: 900, reconcile: 3_600 }],
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

test.each<{ name: string; lostAtS: number[]; waits: number }>([
  { name: "nothing was lost", lostAtS: [], waits: 1_200 },
  { name: "one was lost: a gateway that was started anew", lostAtS: [700], waits: 1_200 },
  { name: "lost at other ages", lostAtS: [700, 60, 300], waits: 1_200 },
  { name: "a proxy ends what is silent for a minute", lostAtS: [60.2, 61], waits: 48 },
  { name: "the same, with a restart before", lostAtS: [700, 61, 60.2], waits: 48 },
  { name: "the proxy's time is made shorter", lostAtS: [60, 60, 15.1, 15], waits: 12 },
  { name: "the gateway is away: each is lost at once", lostAtS: [0.01, 0.01, 0.01], waits: 1_200 },
])("a poll waits as long as it is let: $name", ({ lostAtS, waits }) => {
  const wait = new PollWait();
  for (const s of lostAtS) wait.lost(s);
  expect(wait.seconds({ poll: 1_200, report: 700, reconcile: 3_000 })).toBe(waits);
});

test("what ended silent polls may have gone: the told wait is tried again now and then, and given up as before", () => {
  const wait = new PollWait();
  const pace = { poll: 1_200, report: 700, reconcile: 3_000 };
  const lost = () => wait.lost(60);
  lost();
  lost();
  for (let i = 0; i < 99; i++) wait.ended();
  expect(wait.seconds(pace)).toBe(48);
  wait.ended();
  expect(wait.seconds(pace)).toBe(1_200);
  lost();
  expect(wait.seconds(pace)).toBe(48);
});

test("a wait is never longer than what is told", () => {
  const wait = new PollWait();
  wait.lost(300);
  wait.lost(300);
  expect(wait.seconds(FULL_PACE)).toBe(FULL_PACE.poll);
});
