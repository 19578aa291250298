import type { FreezeWindow } from "@picket/shared/api";
import { describe, expect, test } from "vitest";
import { checkTimeZone, frozenUntil } from "./freeze.ts";

const weekly = (days: string, from: string, to: string, timeZone = "UTC"): FreezeWindow => ({
  kind: "weekly",
  days: days.split(" ") as never,
  from,
  to,
  timeZone,
});
const until = (at: string, ...windows: FreezeWindow[]): string | null => {
  const frozen = frozenUntil(
    windows.map(window => ({ window, reason: "because" })),
    Date.parse(at),
  );
  return frozen && new Date(frozen.untilMs).toISOString().replace(":00.000Z", "Z");
};

const friday = weekly("fri", "16:00", "08:00");
const chain = [
  weekly("fri", "16:00", "00:00"),
  weekly("sat sun", "00:00", "00:00"),
  weekly("mon", "00:00", "08:00"),
];
const once: FreezeWindow = { kind: "once", from: "2026-12-20T00:00:00Z", to: "2027-01-02T09:00:00+01:00" };

describe("a freeze holds from its first moment to before its last", () => {
  test.each<[string, string | null, FreezeWindow[]]>([
    ["2026-11-20T15:59:59Z", null, [friday]], // a Friday
    ["2026-11-20T16:00:00Z", "2026-11-21T08:00Z", [friday]],
    ["2026-11-21T07:59:59Z", "2026-11-21T08:00Z", [friday]],
    ["2026-11-21T08:00:00Z", null, [friday]],
    ["2026-11-22T03:00:00Z", null, [friday]],
    ["2026-11-18T12:00:00Z", "2026-11-18T13:00Z", [weekly("wed", "11:00", "13:00")]],
    ["2026-11-18T13:00:00Z", null, [weekly("wed", "11:00", "13:00")]],
    // Windows that meet are one.
    ["2026-11-20T20:00:00Z", "2026-11-23T08:00Z", chain],
    ["2026-12-20T00:00:00Z", "2027-01-02T08:00Z", [once]],
    ["2027-01-02T08:00:00Z", null, [once]],
    // A time of day is where people live, and in winter it is another moment than in summer.
    ["2026-07-03T14:30:00Z", "2026-07-03T16:00Z", [weekly("fri", "16:00", "18:00", "Europe/Berlin")]],
    ["2026-12-04T14:30:00Z", null, [weekly("fri", "16:00", "18:00", "Europe/Berlin")]],
    ["2026-12-04T15:30:00Z", "2026-12-04T17:00Z", [weekly("fri", "16:00", "18:00", "Europe/Berlin")]],
    // Over the night in which the clock is put back (25 October 2026): eight in the morning is eight.
    ["2026-10-24T20:00:00Z", "2026-10-25T07:00Z", [weekly("sat", "20:00", "08:00", "Europe/Berlin")]],
    // And in which it is put forward (29 March 2026).
    ["2026-03-28T20:00:00Z", "2026-03-29T06:00Z", [weekly("sat", "20:00", "08:00", "Europe/Berlin")]],
    // Another day there than here.
    ["2026-11-20T18:00:00Z", "2026-11-20T23:00Z", [weekly("sat", "01:00", "08:00", "Asia/Tokyo")]],
    ["2026-11-20T12:00:00Z", null, []],
  ])("%s: %s", (at, expected, windows) => expect(until(at, ...windows)).toBe(expected));
});

test("every day all day ends after all, a year on: somebody will have looked", () => {
  const always = weekly("mon tue wed thu fri sat sun", "00:00", "00:00");
  expect(frozenUntil([{ window: always, reason: "" }], 0)!.untilMs).toBeGreaterThan(399 * 86_400_000);
});

test("an unknown time zone is told with an example", () => {
  expect(checkTimeZone("Europe/Berlin")).toBeNull();
  expect(checkTimeZone("Mars/Olympus")).toContain("write a name such as Europe/Berlin");
});
