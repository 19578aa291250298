/** The priority of what a probe saw of a database's certificate; null needs no alert and resolves one. */
import type { Priority } from "./vocabulary.ts";

const DAY_MS = 86_400_000;

export function certificatePriority(probe: {
  handshake: "succeeded" | "failed";
  /** Null when the handshake failed before a certificate was seen. */
  notAfterMs: number | null;
  nowMs: number;
  noticeMs: number;
}): Priority | null {
  const leftMs = probe.notAfterMs === null ? null : probe.notAfterMs - probe.nowMs;
  if (probe.handshake === "failed") return leftMs !== null && leftMs < 7 * DAY_MS ? "P0" : "P2";
  if (leftMs === null) return null;
  if (leftMs <= 0) return "P1";
  return leftMs < probe.noticeMs ? "P3" : null;
}
