import type { Delegation } from "@picket/shared/bundle-format";
import type { Denial } from "@picket/shared/immunity";
import { expect, test } from "vitest";
import { beyondBounds } from "./bounds.ts";

const delegation = { caps: { inForce: 4, inForcePerNode: 2, perHour: 3, ttl: "1d" } } as Delegation;
const denial = (source: string, minute: number): Denial =>
  ({ source, issuedAt: new Date(minute * 60_000).toISOString() }) as Denial;

test.each([
  ["the first", [], null],
  ["another node's", ["b 90", "c 0"], null],
  ["the third of one node", ["a 0", "a 1"], "over-node-cap"],
  ["the fourth within an hour", ["b 70", "c 80", "d 90"], "over-rate"],
  ["the fourth, with an hour between", ["b 70", "c 80", "d 30"], null],
  ["the fifth in force", ["b 0", "c 1", "d 2", "e 3"], "over-cap"],
  ["one issued before the others", ["b 110", "c 120", "d 130"], null],
] as const)("%s of what is issued in minute 100 by a: %s", (_what, others, because) => {
  const kept = others.map(text => denial(text.split(" ")[0]!, Number(text.split(" ")[1])));
  expect(beyondBounds(denial("a", 100), delegation, kept)).toBe(because);
});
