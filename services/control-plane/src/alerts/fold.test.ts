import type { NodeId } from "@picket/shared/ids";
import type { Priority } from "@picket/shared/vocabulary";
import { expect, test } from "vitest";
import { foldSightings, type Sighting } from "./fold.ts";

/** `node priority cause [count]` a line; `-` is "gone". */
function sightings(text: string): Sighting[] {
  return text
    .trim()
    .split("\n")
    .map((line, i) => {
      const [node, priority, causalKey, count] = line.trim().split(/\s+/) as [
        NodeId,
        string,
        string,
        string?,
      ];
      return {
        sequence: i + 1,
        node,
        priority: priority === "-" ? null : (priority as Priority),
        causalKey,
        count: Number(count ?? 1),
        atMs: 1_000 * (i + 1),
      };
    });
}

const told = (text: string) =>
  foldSightings(sightings(text)).map(fold =>
    fold.kind === "gone"
      ? `gone ${fold.causalKey}`
      : `${fold.priority} ${fold.causalKey} ${fold.nodes.join(",")}:${fold.count} by ${fold.spokesman}`,
  );

test.each([
  ["one cause is one alert, with its nodes and counts", "a P2 x\nb P2 x 5\na P2 x 2", ["P2 x a,b:8 by 1"]],
  ["the most urgent sighting speaks, the first of equals", "a P2 x\na P0 x\nb P0 x", ["P0 x a,b:3 by 2"]],
  ["a less urgent sighting takes nothing away", "a P0 x\na P3 x", ["P0 x a:2 by 1"]],
  ["causes are kept apart", "a P2 x\na P1 y\na P2 x", ["P2 x a:2 by 1", "P1 y a:1 by 2"]],
  ["what is gone ends its cause", "a P2 x\na - x", ["P2 x a:1 by 1", "gone x"]],
  [
    "what comes back after it was gone begins anew",
    "a P2 x\na - x\na P3 x",
    ["P2 x a:1 by 1", "gone x", "P3 x a:1 by 3"],
  ],
  ["another cause's end changes nothing", "a P2 x\na - y\na P2 x", ["P2 x a:2 by 1", "gone y"]],
])("%s", (_, text, expected) => {
  expect(told(text)).toEqual(expected);
});

test("events that come late do not turn an alert's time back", () => {
  const [late, early] = [9_000, 1_000];
  const folds = foldSightings(
    sightings("a P2 x\na P2 x").map((s, i) => ({ ...s, atMs: i === 0 ? late : early })),
  );
  expect(folds[0]).toMatchObject({ atMs: late });
});
