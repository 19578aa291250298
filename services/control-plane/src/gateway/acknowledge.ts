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
  const ids = sql.param(`{${all.map(({ id }) => id).join(",")}}`);
  const of = sql.param(`{${all.map(({ node }) => node).join(",")}}`);
  const at = sql.param(now(services).toISOString());
  const held = await db.execute<{ id: string; node: string }>(sql`
    with asked as (select * from unnest(${ids}::uuid[], ${of}::uuid[]) as asked (id, node)),
    open as (
      select id from assignments join asked using (id, node) where acknowledged_at is null
      for update of assignments skip locked
    ),
    done as (
      update assignments set acknowledged_at = ${at}::timestamptz from open where assignments.id = open.id
    )
    select id, node from assignments join asked using (id, node)
    where acknowledged_at is null and id not in (select id from open)`);
  for (const { id, node } of held.rows)
    await db
      .update(assignments)
      .set({ acknowledgedAt: now(services) })
      .where(
        and(eq(assignments.id, id), eq(assignments.node, node as NodeId), isNull(assignments.acknowledgedAt)),
      );
  return all.map(() => null);
}
