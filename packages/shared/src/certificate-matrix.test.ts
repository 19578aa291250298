import { expect, test } from "vitest";
import { certificatePriority } from "./certificate-matrix.ts";

const table: [handshake: "succeeded" | "failed", daysLeft: number | null, expected: string | null][] = [
  ["failed", 6, "P0"],
  ["failed", -1, "P0"],
  ["failed", 7, "P2"],
  ["failed", 90, "P2"],
  ["failed", null, "P2"],
  ["succeeded", -1, "P1"],
  ["succeeded", 0, "P1"],
  ["succeeded", 6, "P3"],
  ["succeeded", 29, "P3"],
  ["succeeded", 30, null],
  ["succeeded", 365, null],
];
for (const [handshake, daysLeft, expected] of table)
  test(`handshake ${handshake} with ${daysLeft ?? "unknown"} days left is ${expected ?? "no alert"}`, () => {
    const DAY_MS = 86_400_000;
    const nowMs = 1_000 * DAY_MS;
    const notAfterMs = daysLeft === null ? null : nowMs + daysLeft * DAY_MS;
    expect(certificatePriority({ handshake, notAfterMs, nowMs, noticeMs: 30 * DAY_MS })).toBe(expected);
  });
