import type { Installed } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { expect, test } from "vitest";
import { lossSince, nodeAlerts, type Seen } from "./alerts.ts";

const node = "n" as NodeId;
const active = (version: number) =>
  ({ kind: "active", ruleSet: "shop", version, generation: 1 }) as Installed;
const refused = (version: number, generation = 2) =>
  ({
    kind: "kept-last-good",
    ruleSet: "shop",
    version: 1,
    refused: version,
    generation,
    because: { code: "verifier-refused", detail: "R1 invalid" },
  }) as Installed;

const see = (before: Installed[], after: Installed[], over: Partial<Seen["before"]> = {}, lost = 0) =>
  nodeAlerts({
    node,
    hostname: "db-1",
    before: { installed: before, eventsLost: 0, wasLost: false, ...over },
    after: { installed: after, eventsLost: lost },
  });

test("a refused bundle is a P1 that says the verifier's words and what still enforces", () => {
  const [alert] = see([active(1)], [refused(2)]).raise;
  expect(alert).toMatchObject({
    causalKey: "picket:bundle-refused:n:shop",
    priority: "P1",
    endsQuietly: false,
  });
  expect(alert!.summary).toBe("verifier-refused: R1 invalid. Version 1 goes on.");
});

test("the same refusal in the next report is not raised again, a second attempt is", () => {
  expect(see([refused(2)], [refused(2)]).raise).toEqual([]);
  expect(see([refused(2)], [refused(2, 3)]).raise).toHaveLength(1);
});

test("a refusal is resolved when the rule set is active again", () => {
  expect(see([refused(2)], [active(3)])).toEqual({ raise: [], resolve: ["picket:bundle-refused:n:shop"] });
});

test("lost events are a P2, no loss is none", () => {
  expect(see([], [], {}, 7).raise).toMatchObject([{ priority: "P2", causalKey: "picket:events-lost:n" }]);
  expect(see([], [], { eventsLost: 7 }, 7).raise).toEqual([]);
});

test("a node that was lost and reports is found", () => {
  expect(see([], [], { wasLost: true }).resolve).toEqual(["picket:node-lost:n"]);
});

test.each([
  ["counts on", { lostByAgent: 5, uptimeSeconds: 10 }, { lost: 8, uptimeSeconds: 20 }, 3],
  ["a smaller figure is a restart", { lostByAgent: 5, uptimeSeconds: 10 }, { lost: 2, uptimeSeconds: 20 }, 2],
  ["a younger agent is a restart", { lostByAgent: 5, uptimeSeconds: 10 }, { lost: 6, uptimeSeconds: 1 }, 6],
  [
    "the first report counts whole",
    { lostByAgent: 0, uptimeSeconds: null },
    { lost: 4, uptimeSeconds: 1 },
    4,
  ],
])("losses are summed over restarts of the agent: %s", (_, before, report, expected) => {
  expect(lossSince(before, report)).toBe(expected);
});
