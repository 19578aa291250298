/** The console's sessions: an opaque random cookie, stored hashed, that ends by itself. */
import { eq, lt } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { sessions } from "../db/schema.ts";
import { Refusal } from "../refusal.ts";
import { authenticateToken } from "./authenticate.ts";
import { drawSession, hashToken } from "./secrets.ts";

export async function signIn({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { token: string };
}): Promise<{ session: string; name: string; role: "viewer" | "operator" | "author" | "admin" }> {
  const actor = await authenticateToken(ctx, input.token);
  if (actor?.kind !== "person") throw new Refusal("unauthenticated", "this token is unknown or revoked");
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
  return { session, name: actor.name, role: actor.role };
}

export async function signOut({ ctx, input }: { ctx: Ctx; input: { session: string } }): Promise<void> {
  await ctx.db.delete(sessions).where(eq(sessions.hash, hashToken(input.session)));
}
