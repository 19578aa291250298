/** The console's sessions: an opaque random cookie, stored hashed, that ends by itself. */
import type { Me } from "@picket/shared/api";
import { eq, lt } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { sessions } from "../db/schema.ts";
import { unseal } from "../deliveries/secret-box.ts";
import { Refusal } from "../refusal.ts";
import { authenticateToken } from "./authenticate.ts";
import { drawSession, hashToken } from "./secrets.ts";

export async function signIn({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { token: string };
}): Promise<{ session: string; me: Me }> {
  const actor = await authenticateToken(ctx, input.token);
  if (!actor) throw new Refusal("unauthenticated", "this token is unknown, expired or revoked");
  const session = drawSession(ctx);
  await ctx.db.transaction(async tx => {
    await tx.delete(sessions).where(lt(sessions.expiresAt, now(ctx)));
    await tx.insert(sessions).values({
      hash: hashToken(session),
      token: actor.token,
      createdAt: now(ctx),
      expiresAt: new Date(ctx.clock() + ctx.config.sessionMs),
    });
    await record({ ...ctx, actor }, tx, { verb: "sign-in", subject: `api-token:${actor.token}` });
  });
  return { session, me: { name: actor.name, role: actor.role, scope: actor.scope } };
}

export async function signOut({ ctx, input }: { ctx: Ctx; input: { session: string } }): Promise<void> {
  const [ended] = await ctx.db
    .delete(sessions)
    .where(eq(sessions.hash, hashToken(input.session)))
    .returning({ refreshToken: sessions.refreshToken });
  if (ended?.refreshToken)
    await ctx.sso?.revoke(unseal(ctx, ended.refreshToken)).catch((error: Error) => {
      ctx.log.warn({ said: error.message }, "signed out here; the identity provider did not take note");
    });
}
