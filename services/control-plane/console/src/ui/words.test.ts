import { expect, test } from "vitest";
import { joined, percent, plural } from "./words.ts";

test.each([
  [1, 1_000, "under 1 %"],
  [999, 1_000, "over 99 %"],
  [1_000, 1_000, "100 %"],
  [0, 10, "0 %"],
  [1, 3, "33 %"],
  [0, 0, "–"],
])("%d of %d is %s: rounding says neither all nor none where it is not so", (part, whole, expected) =>
  expect(percent(part, whole)).toBe(expected),
);

test("counts and lists read as people write them", () => {
  expect(plural(1, "node")).toBe("1 node");
  expect(plural(1_200, "node")).toBe("1,200 nodes");
  expect(joined(["a", "b", "c"])).toBe("a, b and c");
  expect(joined(["a"])).toBe("a");
});
