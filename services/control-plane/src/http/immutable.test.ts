import { expect, test } from "vitest";
import { rangeOf } from "./immutable.ts";

test.each([
  [undefined, null],
  ["bytes=0-3", [0, 3]],
  ["bytes=4-", [4, 9]],
  ["bytes=-2", [8, 9]],
  ["bytes=-99", [0, 9]],
  ["bytes=0-99", [0, 9]],
  ["bytes=-", null],
  ["bytes=0-1,4-5", null],
  ["lines=0-1", null],
] as const)("range %s of ten bytes", (header, expected) => {
  expect(rangeOf(header, 10)).toEqual(expected);
});

test("a range behind the end is refused", () => {
  expect(() => rangeOf("bytes=10-", 10)).toThrow("10 bytes");
});
