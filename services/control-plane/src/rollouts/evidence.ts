/** What the nodes that a rollout reached say now: the gate's input. */
import type { Installed } from "@picket/shared/contract";
import { and, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { assignments, nodes, rolloutNodes, type rollouts } from "../db/schema.ts";
import type { ReachedNode } from "./core.ts";
import type { RolloutRow } from "./reach.ts";

/** Only the rule set's entry of a report is read: a fleet's whole reports would not fit in memory. */
export const installedOf = (ruleSet: typeof rollouts.ruleSet | string) =>
  sql<Installed | null>`jsonb_path_query_first(${nodes.installed}, '$[*] ? (@.ruleSet == $name)',
    jsonb_build_object('name', ${ruleSet}::text))`;

export async function readEvidence(ctx: Ctx, db: Tx, rollout: RolloutRow): Promise<ReachedNode[]> {
  const rows = await db
    .select({
      hostname: nodes.hostname,
      version: assignments.version,
      generation: assignments.generation,
      installed: installedOf(rollout.ruleSet),
      reportedAt: nodes.reportedAt,
      eventsLost: sql<number>`${nodes.eventsLost} - ${rolloutNodes.lostAtStepStart}`.mapWith(Number),
    })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .innerJoin(
      assignments,
      and(eq(assignments.node, rolloutNodes.node), eq(assignments.ruleSet, rollout.ruleSet)),
    )
    .where(
      and(eq(rolloutNodes.rollout, rollout.id), isNotNull(rolloutNodes.reachedAt), isNull(nodes.retiredAt)),
    );
  return rows.map(row => ({
    hostname: row.hostname,
    target: { version: row.version, generation: row.generation },
    installed: row.installed,
    reportAgeMs: row.reportedAt === null ? null : ctx.clock() - row.reportedAt.getTime(),
    eventsLost: row.eventsLost,
  }));
}
