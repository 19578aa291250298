/**
 * The node has it in hand. A wave's acknowledgements come by the thousand: those that come together are one
 * statement. One that was replaced meanwhile is acknowledged without effect.
 */

import type { NodeId } from "@picket/shared/ids";
import { and, eq, isNull, sql } from "drizzle-orm";
import { batched } from "../batch.ts";
import { type Ctx, now, type Services } from "../context.ts";
import { assignments } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

interface Acknowledgement {
  node: NodeId;
  id: string;
}

type Acknowledge = (call: { ctx: Ctx; input: { id: string } }) => Promise<null>;

export function acknowledgements(services: Services): Acknowledge {
  const write = batched<Acknowledgement, null>(all => writeAll(services, all), { most: 500 });
  return async ({ ctx, input }) => {
    authorise(ctx, "agent.acknowledge");
    const node = theNode(ctx);
    await write({ node, id: input.id });
    // The row first: should Redis be away now, the lease runs out, comes again, and is acknowledged again.
    await ctx.inbox.acknowledge(node, input.id);
    ctx.metrics.leases.inc({ outcome: "acknowledged" });
    return null;
  };
}

/**
 * Rows that somebody else holds are left out and written one by one: a statement over many rows that waited for one
 * could be part of a deadlock with a rollout that assigns many.
 */
async function writeAll(services: Services, all: Acknowledgement[]): Promise<null[]> {
  const { db } = services;
  const open = sql`(${assignments.node}, ${assignments.id}) in (${sql.join(
    all.map(({ node, id }) => sql`(${node}::uuid, ${id}::uuid)`),
    sql`, `,
  )})`;
  const free = db
    .select({ id: assignments.id })
    .from(assignments)
    .where(and(open, isNull(assignments.acknowledgedAt)))
    .for("update", { skipLocked: true });
  await db
    .update(assignments)
    .set({ acknowledgedAt: now(services) })
    .where(sql`${assignments.id} in ${free}`);
  const held = await db
    .select({ node: assignments.node, id: assignments.id })
    .from(assignments)
    .where(and(open, isNull(assignments.acknowledgedAt)));
  for (const { node, id } of held)
    await db
      .update(assignments)
      .set({ acknowledgedAt: now(services) })
      .where(and(eq(assignments.id, id), eq(assignments.node, node), isNull(assignments.acknowledgedAt)));
  return all.map(() => null);
}
