import type { NodeId } from "@picket/shared/ids";
import { and, eq, isNull } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { assignments } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

/** The node has it in hand. One that was replaced meanwhile is acknowledged without effect. */
export async function acknowledge({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "agent.acknowledge");
  const node: NodeId = theNode(ctx);
  await ctx.db
    .update(assignments)
    .set({ acknowledgedAt: now(ctx) })
    .where(and(eq(assignments.id, input.id), eq(assignments.node, node), isNull(assignments.acknowledgedAt)));
  // The row first: should Redis be away now, the lease runs out, comes again, and is acknowledged again.
  await ctx.inbox.acknowledge(node, input.id);
  ctx.metrics.leases.inc({ outcome: "acknowledged" });
}
