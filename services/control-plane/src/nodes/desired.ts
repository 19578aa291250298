import type { Desired } from "@picket/shared/contract";
import { asc, eq } from "drizzle-orm";
import { newestRoot } from "../bundles/trust.ts";
import type { Ctx } from "../context.ts";
import { assignments } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { nodeAssignment } from "../rollouts/assign.ts";
import { theNode } from "./the-node.ts";

/** From PostgreSQL alone: an inbox that was lost only delays. */
export async function desired({ ctx }: { ctx: Ctx }): Promise<Desired> {
  authorise(ctx, "agent.desired");
  const rows = await ctx.db
    .select()
    .from(assignments)
    .where(eq(assignments.node, theNode(ctx)))
    .orderBy(asc(assignments.ruleSet));
  const trust = await newestRoot(ctx.db);
  return {
    assignments: rows.map(row => nodeAssignment(row).assignment),
    ...(trust > 0 && { trust }),
  };
}
