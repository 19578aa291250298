/** Join tokens: what a new node shows once. Scoped by labels that its nodes keep, counted, expiring. */
import type { JoinToken, JoinTokenRequest } from "@picket/shared/api";
import { durationMs } from "@picket/shared/vocabulary";
import { and, desc, eq, gt, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { joinTokens } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { inScope } from "../identity/scope.ts";
import { drawJoinToken, hashToken } from "../identity/secrets.ts";
import { notFound } from "../refusal.ts";

const show = (row: typeof joinTokens.$inferSelect): JoinToken => ({
  id: row.id,
  labels: row.labels,
  usesMax: row.usesMax,
  uses: row.uses,
  expiresAt: row.expiresAt.toISOString(),
});

/** Those that can still be used, newest first. */
export async function listJoinTokens({ ctx }: { ctx: Ctx }): Promise<JoinToken[]> {
  authorise(ctx, "nodes.list-join-tokens");
  const rows = await ctx.db
    .select()
    .from(joinTokens)
    .where(
      and(isNull(joinTokens.revokedAt), gt(joinTokens.expiresAt, now(ctx)), inScope(ctx, joinTokens.labels)),
    )
    .orderBy(desc(joinTokens.createdAt))
    .limit(500);
  return rows.map(show);
}

export async function createJoinToken({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: JoinTokenRequest;
}): Promise<JoinToken> {
  authorise(ctx, "nodes.create-join-token");
  const token = drawJoinToken(ctx);
  return ctx.db.transaction(async tx => {
    const [row] = await tx
      .insert(joinTokens)
      .values({
        id: uuid(ctx),
        hash: hashToken(token),
        labels: input.labels,
        usesMax: input.usesMax,
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
        expiresAt: new Date(ctx.clock() + durationMs(input.ttl)),
      })
      .returning();
    await record(ctx, tx, {
      verb: "create-join-token",
      subject: `join-token:${row!.id}`,
      detail: { ...input },
    });
    return { ...show(row!), token };
  });
}

export async function revokeJoinToken({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "nodes.revoke-join-token");
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(joinTokens)
      .set({ revokedAt: now(ctx) })
      .where(and(eq(joinTokens.id, input.id), isNull(joinTokens.revokedAt)))
      .returning({ id: joinTokens.id });
    if (!row) throw notFound(`join token ${input.id}`);
    await record(ctx, tx, { verb: "revoke-join-token", subject: `join-token:${row.id}` });
  });
}
