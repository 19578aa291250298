import { expect, test } from "vitest";
import { type Counts, pales } from "./pales.ts";

const drawn = (counts: Counts, total: number, max: number) =>
  pales(counts, total, max)
    .of.map(({ kind, count }) => `${kind} ${count}`)
    .join(", ");

test.each<[string, Counts, number, number, string]>([
  [
    "each connection is a pale while there is room",
    { prevented: 3, unseen: 1 },
    4,
    10,
    "prevented 3, unseen 1",
  ],
  ["what no report speaks of is drawn, too", { prevented: 3 }, 5, 10, "prevented 3, untold 2"],
  ["shares are kept", { prevented: 500, observed: 500 }, 1_000, 10, "prevented 5, observed 5"],
  ["one among many does not disappear", { prevented: 9_999, unseen: 1 }, 10_000, 10, "prevented 9, unseen 1"],
  ["nothing is nothing", {}, 0, 10, ""],
])("%s", (_, counts, total, max, expected) => expect(drawn(counts, total, max)).toBe(expected));

test("never more pales than there is room for", () => {
  for (const counts of [
    { prevented: 997, severed: 1, observed: 1, unseen: 1 },
    { prevented: 333, severed: 333, observed: 334 },
  ])
    for (const max of [5, 7, 40, 150]) {
      const { of } = pales(counts, 1_000, max);
      expect(of.reduce((sum, { count }) => sum + count, 0)).toBe(max);
    }
});
