/** Which shared verdicts a delegation's bounds leave room for. Pure: the control plane keeps them, too, and may lie. */
import type { Delegation } from "@picket/shared/bundle-format";
import type { Denial, DisbeliefCode } from "@picket/shared/immunity";

const HOUR_MS = 3_600_000;

/** `others`: what is in force by this delegation, without this one. */
export function beyondBounds(
  denial: Denial,
  { caps }: Delegation,
  others: readonly Denial[],
): Extract<DisbeliefCode, "over-cap" | "over-node-cap" | "over-rate"> | null {
  if (others.length >= caps.inForce) return "over-cap";
  if (others.filter(({ source }) => source === denial.source).length >= caps.inForcePerNode)
    return "over-node-cap";
  const issuedMs = Date.parse(denial.issuedAt);
  const before = others.filter(({ issuedAt }) => {
    const agoMs = issuedMs - Date.parse(issuedAt);
    return agoMs >= 0 && agoMs < HOUR_MS;
  });
  return before.length >= caps.perHour ? "over-rate" : null;
}
