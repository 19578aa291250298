import type { DetectionRow } from "@picket/shared/api";
import type { StatementDetection } from "@picket/shared/detection";
import { expect, test } from "vitest";
import { claimed, matches, outcome } from "./outcome.ts";

type Given = Pick<StatementDetection, "guarantee" | "action" | "wouldBlock">;
const given = (guarantee: Given["guarantee"], action: Given["action"], wouldBlock = false) =>
  ({ kind: "statement", guarantee, action, wouldBlock }) as StatementDetection;

test.each<[string, StatementDetection, string]>([
  ["a blocked statement was prevented", given("prevented", "block"), "prevented"],
  ["a cut connection let bytes leave", given("severed", "block"), "severed"],
  ["an alert stops nothing, on whatever connection", given("prevented", "alert"), "observed"],
  ["nor does an observation", given("severed", "observe"), "observed"],
  ["would have blocked did not block", given("prevented", "block", true), "observed"],
  ["what was observed stays observed", given("observed", "block"), "observed"],
  ["what was unseen stays unseen", given("unseen", "block"), "unseen"],
])("%s", (_, detection, expected) => expect(claimed(detection)).toBe(expected));

test("only what was stopped is said to be stopped", () => {
  expect(outcome(given("prevented", "block"))).toBe("Stopped before it left the host.");
  expect(outcome(given("observed", "block", true))).toContain("would have been blocked");
  expect(outcome(given("prevented", "alert"))).toContain("It was not stopped.");
  for (const detection of [given("observed", "block"), given("observed", "alert"), given("severed", "block")])
    expect(outcome(detection)).not.toContain("Stopped");
});

test("the list is narrowed by view and by text, wherever it stands", () => {
  const row = {
    hostname: "shop-1",
    detection: {
      ...given("observed", "block", true),
      verdict: "attack",
      sql: "SELECT ? UNION SELECT ?",
      rules: ["union-select"],
      danger: [],
      causalKey: "statement/shop",
      process: { pid: 1, comm: "node" },
    },
  } as unknown as DetectionRow;
  expect(matches(row, "all", "")).toBe(true);
  expect(matches(row, "attack", "Union-Select")).toBe(true);
  expect(matches(row, "would-block", "SHOP-1")).toBe(true);
  expect(matches(row, "probe", "")).toBe(false);
  expect(matches(row, "certificates", "")).toBe(false);
  expect(matches(row, "all", "ledger")).toBe(false);
});
