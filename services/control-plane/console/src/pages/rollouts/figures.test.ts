import type { SignalFinding } from "@picket/shared/api";
import { expect, test } from "vitest";
import { armText, eValueText, valueText } from "./figures.ts";

test.each([
  [0.00123, "share", "+0.123 %"],
  [-0.5, "share", "-50 %"],
  [0.02, "cores", "+2 % core"],
  [16 << 20, "bytes", "+16 MiB"],
  [0, "share", "0 %"],
] as const)("%s as %s is %s", (value, unit, text) => expect(valueText(value, unit, true)).toBe(text));

const finding = {
  unit: "nodes",
  canary: { nodes: 20, hits: 3, of: 20 },
  control: null,
  threshold: 2_700,
} as SignalFinding;

test("nodes are counted, not divided, and a side without data is empty", () => {
  expect(armText(finding, "canary")).toBe("3 of 20");
  expect(armText(finding, "control")).toBe("");
});

test("what is beyond a million is told by its size", () => {
  expect(eValueText({ ...finding, eValue: 3.2e34 })).toBe("10^34 of 2700");
  expect(eValueText({ ...finding, eValue: 0.1234 })).toBe("0.123 of 2700");
});
