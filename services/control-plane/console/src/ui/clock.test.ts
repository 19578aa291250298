import { expect, test } from "vitest";
import { relative } from "./clock.ts";

const NOW = 1_000_000_000_000;
test.each([
  [0, "just now"],
  [-3_000, "just now"],
  [42_000, "42 s ago"],
  [90_000, "1 min ago"],
  [7_200_000, "2 h ago"],
  [3 * 86_400_000, "3 days ago"],
  [-6 * 86_400_000 - 1, "in 6 days"],
])("%d ms ago reads %s", (ms, expected) => expect(relative(NOW - ms, NOW)).toBe(expected));
