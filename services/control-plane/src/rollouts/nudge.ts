import type { NodeId, RolloutId } from "@picket/shared/ids";
import { and, eq, inArray } from "drizzle-orm";
import type { Ctx, Services } from "../context.ts";
import { among } from "../db/among.ts";
import { rolloutNodes, rollouts } from "../db/schema.ts";

export const ACTIVE = ["running", "paused", "rolling-back"] as const;

/** Those that a pass may change. */
export const LIVE = ["scheduled", ...ACTIVE] as const;

/** What nodes say may be what an active rollout of them waits for. */
export async function nudgeRolloutsOf(
  ctx: Pick<Services, "db" | "jobs">,
  nodes: readonly NodeId[],
): Promise<void> {
  if (nodes.length === 0) return;
  const rows = await ctx.db
    .selectDistinct({ id: rollouts.id })
    .from(rollouts)
    .innerJoin(rolloutNodes, eq(rolloutNodes.rollout, rollouts.id))
    .where(and(among(rolloutNodes.node, nodes), inArray(rollouts.state, [...ACTIVE])));
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
