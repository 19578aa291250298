import type { NodeId, RolloutId } from "@picket/shared/ids";
import { and, eq, inArray } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { rolloutNodes, rollouts } from "../db/schema.ts";

export const ACTIVE = ["running", "paused", "rolling-back"] as const;

/** Those that a pass may change. */
export const LIVE = ["scheduled", ...ACTIVE] as const;

/** What a node says may be what an active rollout of it waits for. */
export async function nudgeRolloutsOf(ctx: Ctx, node: NodeId): Promise<void> {
  const rows = await ctx.db
    .select({ id: rollouts.id })
    .from(rollouts)
    .innerJoin(rolloutNodes, eq(rolloutNodes.rollout, rollouts.id))
    .where(and(eq(rolloutNodes.node, node), inArray(rollouts.state, [...ACTIVE])));
  for (const { id } of rows) ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: id });
}

/** The node may have come into a selector or left one: by enrolment or by new labels. */
export async function nudgeActiveRollouts(ctx: Ctx): Promise<void> {
  const rows: { id: RolloutId }[] = await ctx.db
    .select({ id: rollouts.id })
    .from(rollouts)
    .where(inArray(rollouts.state, [...LIVE]));
  for (const { id } of rows) ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: id });
}
