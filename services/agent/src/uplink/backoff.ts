/** How long to wait before try number `attempt` (from 1): doubling, capped, with full jitter so that a fleet that lost
 * its control plane does not come back all at once. `random` is in [0, 1). */
export function backoffMs(
  attempt: number,
  random: number,
  limits = { firstMs: 500, mostMs: 60_000 },
): number {
  const ceiling = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(attempt - 1, 20));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
