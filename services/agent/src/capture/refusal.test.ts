import type { BpfErrorCode } from "@picket/native/bpf";
import { expect, test } from "vitest";
import { REFUSAL_CHARACTERS_MAX, refusalText, type SlotRefusal, slotRefusalCode } from "./refusal.ts";

const MESSAGE =
  "the kernel refused program 'slot': Permission denied (EACCES): R1 invalid mem access 'scalar'";

test("a refusal is the message and after it the verifier's lines", () => {
  expect(refusalText(MESSAGE, ["1: r1 = 0", "R1 invalid"])).toBe(`${MESSAGE}\n1: r1 = 0\nR1 invalid`);
});

test("without a log it is the message alone", () => {
  expect(refusalText(MESSAGE, [])).toBe(MESSAGE);
});

test("lines full of registers push neither the complaint out nor the last line, and none is cut in two", () => {
  const registers = Array.from(
    { length: 20 },
    (_, i) => `${i}: ${"R1_w=scalar(umax=4294967295) ".repeat(20)}`,
  );
  const text = refusalText(MESSAGE, [...registers, "processed 30 insns"]);
  const lines = text.split("\n");
  expect(text.length).toBeLessThanOrEqual(REFUSAL_CHARACTERS_MAX);
  expect(lines[0]).toBe(MESSAGE);
  expect(lines.at(-1)).toBe("processed 30 insns");
  expect(lines.slice(1, -1).length).toBeGreaterThan(0);
  for (const line of lines.slice(1, -1)) expect(registers).toContain(line);
});

test("a message that is too long itself is bounded", () => {
  expect(refusalText("m".repeat(5_000), ["last"])).toHaveLength(REFUSAL_CHARACTERS_MAX);
});

test.each<[BpfErrorCode, SlotRefusal["code"]]>([
  ["BPF_VERIFIER_REFUSED", "verifier-refused"],
  ["BPF_OPEN_FAILED", "malformed"],
  ["BPF_NOT_FOUND", "malformed"],
  ["BPF_BAD_INPUT", "malformed"],
  ["BPF_LOAD_FAILED", "load-failed"],
  ["BPF_MAP_FAILED", "load-failed"],
  ["BPF_NO_PERMISSION", "load-failed"],
  ["BPF_PIN_FAILED", "load-failed"],
])("%s is told as %s", (code, told) => {
  expect(slotRefusalCode(code)).toBe(told);
});
