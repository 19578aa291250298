/**
 * Guessing is slowed down: refusals are counted by address in Redis, and after too many the address waits. Those who
 * are let in cost nothing, so a fleet behind one address may enrol at once. With Redis away nobody signs in or
 * enrols: a door without a lock is not opened.
 */
import type { Ctx } from "../context.ts";
import { Refusal } from "../refusal.ts";

const WINDOW_S = 60;

/** So many in a window, whatever becomes of them: what anybody may ask and what is remembered for it. */
export async function rationed(ctx: Ctx, what: "sso", address: string, most: number): Promise<void> {
  const key = `picket:asked:${what}:${address}`;
  const answers = await ctx.redis.multi().incr(key).expire(key, WINDOW_S, "NX").exec();
  if (Number(answers?.[0]?.[1]) > most)
    throw new Refusal("rate-limited", "too many from this address: wait a minute", {
      retryAfterS: Math.max(1, await ctx.redis.ttl(key)),
    });
}

export async function limited<T>(
  ctx: Ctx,
  what: "enrol" | "session",
  address: string,
  refusalsMax: number,
  work: () => Promise<T>,
): Promise<T> {
  const key = `picket:refused:${what}:${address}`;
  if (Number(await ctx.redis.get(key)) >= refusalsMax)
    throw new Refusal("rate-limited", "too many failed attempts from this address: wait a minute", {
      retryAfterS: Math.max(1, await ctx.redis.ttl(key)),
    });
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal && (error.code === "unauthenticated" || error.code === "join-token-refused"))
      await ctx.redis.multi().incr(key).expire(key, WINDOW_S, "NX").exec();
    throw error;
  }
}
