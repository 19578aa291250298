import type { Report, VersionCounters } from "@picket/shared/contract";
import { expect, test } from "vitest";
import type { Totals } from "../db/totals.ts";
import { addReport, difference, isLate, moveMarks, watchFrom } from "./totals.ts";

const counters = (statements: number, over: Partial<VersionCounters> = {}): VersionCounters =>
  ({
    ruleSet: "shop",
    version: 1,
    statements,
    known: 0,
    unknown: 0,
    neverKnown: statements / 10,
    blocked: statements / 100,
    severed: 0,
    wouldBlock: 0,
    ...over,
  }) as VersionCounters;
type Given = Pick<Report, "events" | "agent" | "counters" | "order">;
const report = (uptimeSeconds: number, lost: number, given: VersionCounters[]): Given => ({
  events: { emitted: lost * 10, received: 0, lost, spooled: 0, uploaded: 0 },
  agent: { residentBytes: 5, cpuSeconds: uptimeSeconds / 100, uptimeSeconds },
  counters: given,
});

function said(...reports: Given[]): Totals {
  let totals: Totals | null = null;
  let before: VersionCounters[] = [];
  reports.forEach((each, i) => {
    totals = addReport({ totals, counters: before }, each, i * 1_000);
    before = each.counters;
  });
  return totals!;
}

test("figures that go on are not counted twice", () => {
  const totals = said(report(10, 1, [counters(100)]), report(20, 3, [counters(300)]));
  expect(totals).toMatchObject({ seconds: 20, lost: 3, emitted: 30, restarts: 0, atMs: 1_000 });
  expect(totals.sets.shop).toMatchObject({ statements: 300, blocked: 3, neverKnown: 30 });
});

test("an agent that began anew adds to what was, and is counted as restarted", () => {
  const totals = said(report(100, 5, [counters(100)]), report(3, 7, [counters(100)]));
  expect(totals).toMatchObject({ seconds: 103, lost: 12, restarts: 1 });
  expect(totals.sets.shop?.statements).toBe(200);
});

test("a version that was loaded anew counts from zero, another version beside it goes on", () => {
  const totals = said(
    report(10, 0, [counters(100), counters(50, { version: 2 as never })]),
    report(20, 0, [counters(10), counters(80, { version: 2 as never })]),
  );
  expect(totals.sets.shop?.statements).toBe(100 + 50 + 10 + 30);
});

test("responses are absent until an agent tells them, and then summed by latency", () => {
  const with_ = (ok: number, errors: number, latencyLog2Us: number[]) =>
    counters(100, { responses: { ok, errors, latencyLog2Us } });
  expect(said(report(1, 0, [counters(1)])).sets.shop?.responses).toBeNull();
  const totals = said(report(1, 0, [with_(9, 1, [0, 10])]), report(2, 0, [with_(18, 2, [0, 15, 5])]));
  expect(totals.sets.shop?.responses).toEqual({ ok: 18, errors: 2, latencyLog2Us: [0, 15, 5] });
});

test("a figure that falls without a restart begins anew instead of counting backwards", () => {
  const totals = said(report(10, 5, []), report(20, 2, []));
  expect(totals.lost).toBe(7);
});

test("before is ten to twenty minutes long", () => {
  const at = (minutes: number) => ({
    ...said(report(minutes * 60 + 1, minutes, [])),
    atMs: minutes * 60_000,
  });
  let marks = moveMarks(null, at(0));
  expect(watchFrom(at(0), marks).before).toBeNull();
  for (const minutes of [5, 10, 15, 20, 29]) marks = moveMarks(marks, at(minutes));
  expect(watchFrom(at(29), marks).before?.lost).toBe(19);
});

test("the difference of two states is what happened between them", () => {
  const from = said(report(10, 1, [counters(100)]));
  const to = addReport({ totals: from, counters: [counters(100)] }, report(30, 4, [counters(700)]), 5_000);
  expect(difference(from, to)).toMatchObject({
    seconds: 20,
    lost: 3,
    sets: { shop: { statements: 600, blocked: 6 } },
  });
});

const [FIRST, SECOND, THIRD] = [1, 2, 3].map(n => `00000000-0000-4000-8000-00000000000${n}`) as [
  string,
  string,
  string,
];
const known = said(
  { ...report(50, 0, []), order: { epoch: FIRST, sequence: 9 } },
  { ...report(5, 0, []), order: { epoch: SECOND, sequence: 3 } },
  { ...report(6, 0, []), order: { epoch: SECOND, sequence: 4 } },
);
test.each<[string, Totals | null, Report["order"], number, boolean]>([
  ["the next of an agent is taken", known, { epoch: SECOND, sequence: 5 }, 3_000, false],
  ["one that was overtaken is late", known, { epoch: SECOND, sequence: 3 }, 3_000, true],
  ["the same one again is late", known, { epoch: SECOND, sequence: 4 }, 3_000, true],
  ["what the agent before a restart had sent is late", known, { epoch: FIRST, sequence: 10 }, 3_000, true],
  ["an agent that has just started is taken", known, { epoch: THIRD, sequence: 1 }, 3_000, false],
  [
    "an agent that goes on from a snapshot is taken after a while",
    known,
    { epoch: SECOND, sequence: 1 },
    200_000,
    false,
  ],
  ["reports without a number are taken as they come", known, undefined, 3_000, false],
  ["the first report of a node is taken", null, { epoch: FIRST, sequence: 1 }, 0, false],
])("%s", (_, last, order, atMs, late) => {
  expect(isLate(last, order, atMs)).toBe(late);
});
