/** API tokens for people and machines. */
import type { ApiToken, ApiTokenRequest } from "@picket/shared/api";
import { durationMs } from "@picket/shared/vocabulary";
import { and, asc, count, eq, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { apiTokens, sessions } from "../db/schema.ts";
import { notFound, Refusal } from "../refusal.ts";
import { authorise } from "./policy.ts";
import { inScope } from "./scope.ts";
import { drawApiToken, hashToken } from "./secrets.ts";
import { SSO_PREFIX } from "./sso/access.ts";

type Row = typeof apiTokens.$inferSelect;
const show = (row: Row): ApiToken => ({
  id: row.id,
  label: row.label,
  role: row.role,
  scope: row.scope,
  createdAt: row.createdAt.toISOString(),
  createdBy: row.createdBy,
  expiresAt: row.expiresAt?.toISOString() ?? null,
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
});

export async function listApiTokens({ ctx }: { ctx: Ctx }): Promise<ApiToken[]> {
  authorise(ctx, "identity.list-tokens");
  const rows = await ctx.db
    .select()
    .from(apiTokens)
    .where(and(isNull(apiTokens.revokedAt), inScope(ctx, apiTokens.scope)))
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
  if (input.label.startsWith(SSO_PREFIX))
    throw new Refusal("invalid", `label: names that begin with ${SSO_PREFIX} are the identity provider's`);
  const token = drawApiToken(ctx);
  return ctx.db.transaction(async tx => {
    const [row] = await tx
      .insert(apiTokens)
      .values({
        id: uuid(ctx),
        hash: hashToken(token),
        label: input.label,
        role: input.role,
        scope: input.scope,
        expiresAt: input.ttl === undefined ? null : new Date(ctx.clock() + durationMs(input.ttl)),
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
      .where(
        and(
          eq(apiTokens.role, "admin"),
          isNull(apiTokens.revokedAt),
          // One that ends by itself, or reaches a part only, does not keep the door.
          isNull(apiTokens.expiresAt),
          eq(apiTokens.scope, {}),
        ),
      )
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
