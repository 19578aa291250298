/**
 * Nodes that came into the selector after the plan was made: each gets its own bucket, and the step that takes it.
 * Those that the current step does not take yet have what is stable.
 */
import { and, eq, isNull, notExists, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { nodes, rolloutNodes } from "../db/schema.ts";
import { bucketOf, stableFor, stepOf, thresholds } from "./cohort.ts";
import type { RolloutRow } from "./reach.ts";
import { completeRollouts } from "./stable.ts";

/** Whether there were any. */
export async function planJoiners(_ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<boolean> {
  const joiners = await tx
    .select({ id: nodes.id, labels: nodes.labels })
    .from(nodes)
    .where(
      and(
        isNull(nodes.retiredAt),
        sql`${nodes.labels} @> ${JSON.stringify(rollout.selector)}::jsonb`,
        notExists(
          tx
            .select({ one: sql`1` })
            .from(rolloutNodes)
            .where(and(eq(rolloutNodes.rollout, rollout.id), eq(rolloutNodes.node, nodes.id))),
        ),
      ),
    );
  if (joiners.length === 0) return false;
  const limits = thresholds(
    rollout.steps.map(({ percent }) => percent),
    rollout.lowestBucket,
  );
  const complete = await completeRollouts(tx, rollout.ruleSet);
  const rows = joiners.map(({ id, labels }) => {
    const bucket = bucketOf(rollout.salt, id);
    return {
      rollout: rollout.id,
      node: id,
      bucket,
      step: stepOf(bucket, limits),
      previous: stableFor(labels, complete)?.version ?? null,
    };
  });
  for (let from = 0; from < rows.length; from += 5_000)
    await tx
      .insert(rolloutNodes)
      .values(rows.slice(from, from + 5_000))
      .onConflictDoNothing();
  return true;
}
