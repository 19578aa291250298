/**
 * Nodes whose labels no longer fit the selector: they leave the rollout and have what is stable for their labels. One
 * that had the candidate and for which nothing is stable keeps it loaded and gives it no process.
 */
import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { nodes, rolloutNodes } from "../db/schema.ts";
import { assign, type NodeAssignment } from "./assign.ts";
import { stableFor } from "./cohort.ts";
import type { RolloutRow } from "./reach.ts";
import { completeRollouts } from "./stable.ts";

export async function dropLeavers(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<NodeAssignment[]> {
  const leavers = await tx
    .select({ id: nodes.id, labels: nodes.labels, reachedAt: rolloutNodes.reachedAt })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .where(
      and(
        eq(rolloutNodes.rollout, rollout.id),
        isNull(nodes.retiredAt),
        sql`not (${nodes.labels} @> ${JSON.stringify(rollout.selector)}::jsonb)`,
      ),
    );
  if (leavers.length === 0) return [];
  await tx.delete(rolloutNodes).where(
    and(
      eq(rolloutNodes.rollout, rollout.id),
      inArray(
        rolloutNodes.node,
        leavers.map(({ id }) => id),
      ),
    ),
  );
  const complete = await completeRollouts(tx, rollout.ruleSet);
  const targets = leavers.flatMap(({ id, labels, reachedAt }) => {
    const stable = stableFor(labels, complete);
    if (stable) return [{ node: id, version: stable.version, bundle: stable.bundle, share: 10_000 }];
    return reachedAt === null
      ? []
      : [{ node: id, version: rollout.version, bundle: rollout.bundle, share: 0 }];
  });
  return assign(ctx, tx, {
    ruleSet: rollout.ruleSet,
    rollout: null,
    scope: "all",
    mode: "enforce",
    targets,
  });
}
