import type { Node } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import { expect, test } from "vitest";
import { coverageHeadline, coverageRest, coverageSource } from "../overview/coverage.ts";
import { fleetOf, runningVersions } from "./fleet.ts";

const node = (over: Partial<Node>): Node =>
  ({
    hostname: "a",
    online: true,
    lastSeenAt: "2026-01-01T00:00:00Z",
    installed: [],
    guarantees: {},
    connectionsTotal: 0,
    eventsLost: 0,
    shapesLearned: 0,
    ...over,
  }) as Node;

test("a silent node's last word is not counted as what is true", () => {
  const fleet = fleetOf([
    node({ guarantees: { prevented: 2, unseen: 1 }, connectionsTotal: 3 }),
    node({ hostname: "b", online: false, guarantees: { prevented: 9 }, connectionsTotal: 9 }),
  ]);
  expect(fleet.guarantees.prevented).toBe(2);
  expect(fleet.connections).toBe(3);
  expect(coverageHeadline(fleet)).toBe("What the rules block is stopped on 2 of 3 database connections.");
  expect(coverageRest(fleet)).toBe("1 cannot be seen.");
  expect(coverageSource(fleet)).toBe("As 1 of 2 nodes report; b is silent and not counted.");
});

test.each<[string, Node[], string]>([
  ["no node", [], "No host is guarded yet."],
  ["all silent", [node({ online: false })], "No node reports: nothing is known of any connection."],
  ["none open", [node({})], "No database connection is open."],
  [
    "all",
    [node({ guarantees: { prevented: 4 }, connectionsTotal: 4 })],
    "What the rules block is stopped on all 4 database connections.",
  ],
  [
    "not all while some are untold",
    [node({ guarantees: { prevented: 4 }, connectionsTotal: 5 })],
    "What the rules block is stopped on 4 of 5 database connections.",
  ],
  [
    "none",
    [node({ guarantees: { observed: 4 }, connectionsTotal: 4 })],
    "Nothing would be stopped on any of 4 database connections.",
  ],
  [
    "cutting is not stopping",
    [node({ guarantees: { severed: 1 }, connectionsTotal: 1 })],
    "Nothing would be stopped on the one database connection there is.",
  ],
])("the headline claims no more than the reports: %s", (_, nodes, expected) =>
  expect(coverageHeadline(fleetOf(nodes))).toBe(expected),
);

test("connections under no guarantee are told as such", () => {
  const fleet = fleetOf([node({ guarantees: { prevented: 1 }, connectionsTotal: 4 })]);
  expect(coverageRest(fleet)).toBe("Nothing is told of 3.");
});

const active = (version: number, share: number) =>
  ({ kind: "active", ruleSet: "shop", version, share }) as Installed;
const kept = (version: number | null, refused: number) =>
  ({
    kind: "kept-last-good",
    ruleSet: "shop",
    version,
    refused,
    because: { code: "verifier-refused", detail: "" },
  }) as Installed;

test("a candidate beside the stable version shows both, with their shares", () => {
  expect(runningVersions([active(3, 2_000), active(2, 8_000)])[0]?.versions).toEqual([
    { version: 2, share: 8_000 },
    { version: 3, share: 2_000 },
  ]);
});

test("a refused version never shows as running", () => {
  const [running] = runningVersions([kept(2, 3)]);
  expect(running?.versions).toEqual([{ version: 2, share: 10_000 }]);
  expect(running?.refused?.refused).toBe(3);
  expect(runningVersions([kept(null, 1)])[0]?.versions).toEqual([]);
});
