/** A node that is gone for good: its key is refused from now on and no rollout waits for it. */
import type { NodeId } from "@picket/shared/ids";
import { and, eq, isNull } from "drizzle-orm";
import { resolveAlerts } from "../alerts/raise.ts";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { assignments, nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";
import { nudgeRolloutsOf } from "../rollouts/nudge.ts";
import { causesOfNode } from "./alerts.ts";
import { announceStanding } from "./keys.ts";

export async function retireNode({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "nodes.retire");
  const id = input.id as NodeId;
  const effects = await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(nodes)
      .set({ retiredAt: now(ctx) })
      .where(and(eq(nodes.id, id), isNull(nodes.retiredAt)))
      .returning({ hostname: nodes.hostname });
    if (!row) throw notFound(`node ${id}`);
    const dropped = await tx
      .delete(assignments)
      .where(eq(assignments.node, id))
      .returning({ ruleSet: assignments.ruleSet });
    const effects = await resolveAlerts(
      ctx,
      tx,
      causesOfNode(
        id,
        dropped.map(({ ruleSet }) => ruleSet),
      ),
    );
    await record(ctx, tx, { verb: "retire", subject: `node:${id}`, detail: { hostname: row.hostname } });
    return effects;
  });
  await announceStanding(ctx, id);
  effects.nudge();
  await nudgeRolloutsOf(ctx, [id]);
}
