/** API tokens for people and machines. */
import type { ApiToken, ApiTokenRequest } from "@picket/shared/api";
import { and, asc, count, eq, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { apiTokens, sessions } from "../db/schema.ts";
import { notFound, Refusal } from "../refusal.ts";
import { authorise } from "./policy.ts";
import { drawApiToken, hashToken } from "./secrets.ts";

type Row = typeof apiTokens.$inferSelect;
const show = (row: Row): ApiToken => ({
  id: row.id,
  label: row.label,
  role: row.role,
  createdAt: row.createdAt.toISOString(),
  createdBy: row.createdBy,
});

export async function listApiTokens({ ctx }: { ctx: Ctx }): Promise<ApiToken[]> {
  authorise(ctx, "identity.list-tokens");
  const rows = await ctx.db
    .select()
    .from(apiTokens)
    .where(isNull(apiTokens.revokedAt))
    .orderBy(asc(apiTokens.createdAt));
  return rows.map(show);
}

export async function createApiToken({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: ApiTokenRequest;
}): Promise<ApiToken> {
  authorise(ctx, "identity.create-token");
  const token = drawApiToken(ctx);
  return ctx.db.transaction(async tx => {
    const [row] = await tx
      .insert(apiTokens)
      .values({
        id: uuid(ctx),
        hash: hashToken(token),
        label: input.label,
        role: input.role,
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
      })
      .returning();
    await record(ctx, tx, { verb: "create-token", subject: `api-token:${row!.id}`, detail: { ...input } });
    return { ...show(row!), token };
  });
}

/** Its sessions end with it. The last admin token stays: else nobody could make another. */
export async function revokeApiToken({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "identity.revoke-token");
  await ctx.db.transaction(async tx => {
    const admins = await tx
      .select({ id: apiTokens.id })
      .from(apiTokens)
      .where(and(eq(apiTokens.role, "admin"), isNull(apiTokens.revokedAt)))
      .for("update");
    if (admins.length === 1 && admins[0]!.id === input.id)
      throw new Refusal("wrong-state", "this is the last admin token: create another one first");
    const [row] = await tx
      .update(apiTokens)
      .set({ revokedAt: now(ctx) })
      .where(and(eq(apiTokens.id, input.id), isNull(apiTokens.revokedAt)))
      .returning();
    if (!row) throw notFound(`API token ${input.id}`);
    await tx.delete(sessions).where(eq(sessions.token, row.id));
    await record(ctx, tx, {
      verb: "revoke-token",
      subject: `api-token:${row.id}`,
      detail: { label: row.label },
    });
  });
}

/** At start: the token of the environment becomes an admin token, once. A revoked one stays revoked. */
export async function bootstrap({ ctx, input }: { ctx: Ctx; input: { token: string } }): Promise<void> {
  await ctx.db.transaction(async tx => {
    const made = await tx
      .insert(apiTokens)
      .values({
        id: uuid(ctx),
        hash: hashToken(input.token),
        label: "bootstrap",
        role: "admin",
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
      })
      .onConflictDoNothing()
      .returning({ id: apiTokens.id });
    if (made[0])
      await record(ctx, tx, {
        verb: "create-token",
        subject: `api-token:${made[0].id}`,
        detail: { role: "admin" },
      });
  });
}

export async function anyApiToken(ctx: Ctx): Promise<boolean> {
  const [row] = await ctx.db.select({ tokens: count() }).from(apiTokens);
  return row!.tokens > 0;
}
