/**
 * Guessing is slowed down: attempts by one address are counted in Redis, those that succeed are given back. With
 * Redis away nobody signs in or enrols: a door without a lock is not opened.
 */
import type { Ctx } from "../context.ts";
import { Refusal } from "../refusal.ts";

const WINDOW_S = 60;

export async function limited<T>(
  ctx: Ctx,
  what: "enrol" | "session",
  address: string,
  attemptsMax: number,
  work: () => Promise<T>,
): Promise<T> {
  const key = `picket:attempts:${what}:${address}`;
  const [[, attempts], [, ttl]] = (await ctx.redis.multi().incr(key).ttl(key).exec()) as unknown as [
    [null, number],
    [null, number],
  ];
  if (ttl < 0) await ctx.redis.expire(key, WINDOW_S);
  if (attempts > attemptsMax)
    throw new Refusal("rate-limited", "too many failed attempts from this address: wait a minute", {
      retryAfterS: ttl > 0 ? ttl : WINDOW_S,
    });
  const result = await work();
  // Its work is done: a count that cannot be given back is no reason to fail.
  await ctx.redis.decr(key).catch(() => undefined);
  return result;
}
