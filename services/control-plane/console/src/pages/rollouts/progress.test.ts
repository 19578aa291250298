import type { GateDecision, Rollout, RolloutState } from "@picket/shared/api";
import { expect, test } from "vitest";
import { mayOperate, verbsOf } from "../../api/changes.ts";
import { foldDecisions, nodesStanding, rungs, superseded } from "./progress.ts";

const rollout = (over: Partial<Rollout>): Rollout =>
  ({
    ruleSet: "shop",
    version: 3,
    previous: 2,
    state: "running",
    step: 1,
    steps: [20, 50, 100].map(percent => ({ percent, soak: "1m", share: 100, scope: "all" })),
    createdAt: "2026-01-02T00:00:00Z",
    nodes: { planned: 5, reached: 3, installed: 2, refused: 1 },
    ...over,
  }) as Rollout;

test.each<[RolloutState, string]>([
  ["running", "done now planned"],
  ["scheduled", "planned planned planned"],
  ["paused", "done now planned"],
  ["complete", "done done done"],
  ["aborted", "left left planned"],
  ["rolling-back", "left left planned"],
  ["rolled-back", "left left planned"],
])("the rungs of a rollout that is %s: %s", (state, expected) =>
  expect(
    rungs(rollout({ state }))
      .map(rung => rung.state)
      .join(" "),
  ).toBe(expected),
);

test.each<[RolloutState, string]>([
  ["scheduled", "abort"],
  ["running", "pause promote abort rollback"],
  ["paused", "resume abort rollback"],
  ["complete", "rollback"],
  ["aborted", "rollback"],
  ["rolling-back", "abort"],
  ["rolled-back", ""],
])("a rollout that is %s offers: %s", (state, verbs) =>
  expect(verbsOf({ state, asks: null }).join(" ")).toBe(verbs),
);

test("only where somebody is asked there is something to approve", () => {
  const asks = { step: 1, because: "half of the nodes" };
  expect(verbsOf({ state: "running", asks })).toContain("approve");
  expect(verbsOf({ state: "scheduled", asks })).toContain("approve");
  expect(verbsOf({ state: "paused", asks })).not.toContain("approve");
});

test("a viewer changes nothing", () => {
  expect((["viewer", "operator", "author", "admin"] as const).map(mayOperate)).toEqual([
    false,
    true,
    true,
    true,
  ]);
});

test("in a roll back a node that answered has returned, not installed", () => {
  const nodes = { planned: 5, reached: 3, installed: 2, refused: 0 };
  expect(nodesStanding(rollout({ state: "rolling-back" }), nodes)).toBe(
    "2 of 3 reached nodes returned to v2",
  );
  expect(nodesStanding(rollout({ state: "running" }), nodes)).toBe(
    "2 of 3 reached nodes installed v3; 5 planned",
  );
});

test("a later rollout of the same rule set, and only that, takes the nodes over", () => {
  const mine = rollout({});
  expect(superseded(mine, [mine, rollout({ createdAt: "2026-01-03T00:00:00Z" })])).toBe(true);
  expect(superseded(mine, [mine, rollout({ createdAt: "2026-01-01T00:00:00Z" })])).toBe(false);
  expect(
    superseded(mine, [
      mine,
      rollout({ createdAt: "2026-01-03T00:00:00Z", ruleSet: "other" as Rollout["ruleSet"] }),
    ]),
  ).toBe(false);
});

test("a gate that says the same again is shown once, with how often", () => {
  const at = (minute: number, kind: GateDecision["kind"], because: string): GateDecision => ({
    id: minute,
    signals: null,
    at: `2026-01-01T00:0${minute}:00Z`,
    step: 0,
    kind,
    because,
  });
  const folded = foldDecisions([
    at(1, "wait", "soaking"),
    at(2, "wait", "soaking"),
    at(3, "advance", "soaked"),
    at(4, "wait", "soaking"),
  ]);
  expect(folded.map(({ kind, times }) => `${kind} ${times}`)).toEqual(["wait 1", "advance 1", "wait 2"]);
  expect(folded[2]?.firstAt).toContain("00:01");
});
