/**
 * At what pace nodes are told to go on, and when one counts as silent. A fleet that would ask more than the control
 * plane is willing to answer is told to ask less often (shared/pace.ts); the few nodes that a gate compares report at
 * full pace meanwhile.
 */
import type { NodeId } from "@picket/shared/ids";
import { FULL_PACE, type Pace, paceOf } from "@picket/shared/pace";
import { and, count, eq, isNotNull, isNull } from "drizzle-orm";
import type { Services } from "../context.ts";
import { among } from "../db/among.ts";
import type { Db, Tx } from "../db/client.ts";
import { nodes, rolloutNodes, rollouts } from "../db/schema.ts";

const COUNT_MS = 60_000;

/** The fleet is counted once a minute: reading it for each report would cost more than the report. */
export class FleetPace {
  readonly #db: Db;
  readonly #clock: () => number;
  readonly #callsPerSecond: number;
  #pace = FULL_PACE;
  #countedMs = Number.NEGATIVE_INFINITY;

  constructor(db: Db, clock: () => number, callsPerSecond: number) {
    this.#db = db;
    this.#clock = clock;
    this.#callsPerSecond = callsPerSecond;
  }

  /** Whoever comes while it is counted goes by the count before. */
  async now(): Promise<Pace> {
    const nowMs = this.#clock();
    if (nowMs - this.#countedMs < COUNT_MS) return this.#pace;
    const before = this.#countedMs;
    this.#countedMs = nowMs;
    try {
      const [row] = await this.#db.select({ nodes: count() }).from(nodes).where(isNull(nodes.retiredAt));
      this.#pace = paceOf(row?.nodes ?? 0, this.#callsPerSecond);
    } catch (error) {
      this.#countedMs = before;
      throw error;
    }
    return this.#pace;
  }
}

/** What each of these nodes is told; `fleet`: what all are, but for those that a gate compares now. */
export async function pacesOf(tx: Tx, fleet: Pace, ids: readonly NodeId[]): Promise<(node: NodeId) => Pace> {
  if (fleet.report === FULL_PACE.report || ids.length === 0) return () => fleet;
  const rows = await tx
    .selectDistinct({ node: rolloutNodes.node })
    .from(rolloutNodes)
    .innerJoin(rollouts, eq(rolloutNodes.rollout, rollouts.id))
    .where(and(among(rolloutNodes.node, ids), isNotNull(rolloutNodes.watch), eq(rollouts.state, "running")));
  const watched = new Set(rows.map(({ node }) => node));
  return node => (watched.has(node) ? { ...fleet, report: FULL_PACE.report } : fleet);
}

/** Three reports of a slow pace may be missed, six of the full one. */
export function silentAt({ clock, config }: Pick<Services, "clock" | "config">, pace: Pace): Date {
  const slower = pace.report / FULL_PACE.report / 2;
  return new Date(clock() + config.nodeSilentMs * Math.max(1, slower));
}

/** Also before the first word of it. */
export const isSilent = ({ clock }: Pick<Services, "clock">, node: { silentAt: Date | null }): boolean =>
  node.silentAt === null || node.silentAt.getTime() < clock();
