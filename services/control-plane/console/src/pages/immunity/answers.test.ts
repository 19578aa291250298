import type { ImmunityStatus } from "@picket/shared/api";
import { expect, test } from "vitest";
import { disbelievers, reasons, standingOf } from "./answers.ts";

const status = (over: Partial<ImmunityStatus>): ImmunityStatus => ({
  keyid: "ab",
  delegations: [{ ruleSet: "shop" }, { ruleSet: "shop" }] as never,
  stopped: null,
  verdicts: {},
  ...over,
});
const stopped = { at: "2026-01-01T00:00:00Z", by: "ops", reason: "a report" };

for (const [what, over, kind] of [
  [
    "a stop is told before anything else that is missing",
    { stopped, keyid: null, delegations: [] },
    "stopped",
  ],
  ["without a key nothing is shared", { keyid: null, delegations: [] }, "no-key"],
  ["a key that no rule version names shares nothing", { delegations: [] }, "no-leave"],
  ["with a key and a rule version's leave verdicts are shared", {}, "on"],
] as const)
  test(what, () => expect(standingOf(status(over as Partial<ImmunityStatus>)).kind).toBe(kind));

test("a rule set is named once, however many of its versions give leave", () => {
  expect(standingOf(status({ verdicts: { "in-force": 1 } }))).toEqual({
    kind: "on",
    text: "What one node finds hostile, the others deny, by leave of shop. 1 verdict in force.",
  });
});

test("who does not believe is counted by reason, the most frequent first", () => {
  const refused = { "over-cap": 1, "honest-here": 12 };
  expect(disbelievers(refused)).toBe(13);
  expect(reasons(refused)).toBe("12 honest here, 1 over cap");
});
