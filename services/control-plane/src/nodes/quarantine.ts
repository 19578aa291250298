/**
 * A node that may not be itself any more: its key is refused at once, everywhere, and what it said stays to be looked
 * at. What it alone claimed to be hostile is taken back from the fleet. It goes on enforcing what it has installed;
 * rollouts see it as away. Released, it speaks again.
 */
import type { NodeId } from "@picket/shared/ids";
import { and, eq, isNotNull, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { announceVerdicts } from "../immunity/issue.ts";
import { discredit } from "../immunity/revoke.ts";
import { notFound } from "../refusal.ts";
import { announceStanding } from "./keys.ts";

export async function quarantineNode({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string; reason: string };
}): Promise<void> {
  authorise(ctx, "nodes.quarantine");
  const id = input.id as NodeId;
  const revoked = await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(nodes)
      .set({ quarantinedAt: now(ctx) })
      .where(and(eq(nodes.id, id), isNull(nodes.retiredAt), isNull(nodes.quarantinedAt)))
      .returning({ hostname: nodes.hostname });
    if (!row) throw notFound(`node ${id} that is not in quarantine`);
    const revoked = await discredit(ctx, tx, id);
    const detail = { hostname: row.hostname, reason: input.reason, sharedVerdictsRevoked: revoked };
    await record(ctx, tx, { verb: "quarantine", subject: `node:${id}`, detail });
    return revoked;
  });
  await announceStanding(ctx, id);
  if (revoked > 0) await announceVerdicts(ctx);
}

export async function releaseNode({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "nodes.release");
  const id = input.id as NodeId;
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(nodes)
      .set({ quarantinedAt: null })
      .where(and(eq(nodes.id, id), isNull(nodes.retiredAt), isNotNull(nodes.quarantinedAt)))
      .returning({ id: nodes.id });
    if (!row) throw notFound(`node ${id} in quarantine`);
    await record(ctx, tx, { verb: "release", subject: `node:${id}` });
  });
  await announceStanding(ctx, id);
}
