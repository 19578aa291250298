import type { ServerResponse } from "node:http";
import type { Lease, Polled } from "@picket/shared/contract";
import type { Ctx } from "../context.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";
import { isRedisAway } from "../queue/redis.ts";
import type { Waiters } from "./waiters.ts";

export const WAIT_S_MAX = 1_800;

/** Who asks, and may go. */
export type Poll = Pick<ServerResponse, "once" | "off" | "destroyed">;

/**
 * Waits for an assignment, for shared verdicts that the node has not read, or until it is to report; null when there
 * is nothing after the wait. Redis away at the first look throws at once.
 */
export async function lease({
  ctx,
  input,
  waiters,
}: {
  ctx: Ctx;
  input: { waitMs: number; readTo: number | null; poll: Poll };
  waiters: Waiters;
}): Promise<Polled | null> {
  authorise(ctx, "agent.lease");
  const node = theNode(ctx);
  const { poll, readTo } = input;
  const news = () => (readTo !== null && readTo < waiters.verdicts ? { verdicts: waiters.verdicts } : null);
  const waiter = waiters.register(node, readTo);
  ctx.metrics.waiters.set(waiters.size);
  poll.once("close", waiter.end);
  try {
    const untilMs = performance.now() + spread(ctx, input.waitMs);
    const look = async (): Promise<Polled | null> =>
      news() ?? (await take(ctx)) ?? (waiter.isToReport ? { report: true } : null);
    for (let found = await look(); ; found = await look().catch(onlyAway)) {
      if (found) return found;
      // A ring for nothing (after the doorbell was out of order all are rung) ends no poll: a fleet would come anew.
      const rung = await waiter.rung(untilMs - performance.now());
      // Whoever has gone must not take a lease along.
      if (!rung || poll.destroyed) return null;
    }
  } finally {
    waiter.end();
    ctx.metrics.waiters.set(waiters.size);
    poll.off("close", waiter.end);
  }
}

/** Who waits already goes on: what it missed is rung again by the sweep, or when Redis is back. */
function onlyAway(error: unknown): null {
  if (isRedisAway(error)) return null;
  throw error;
}

/** A fleet that came at once must not come at once again: the wait ends up to a fifth early, by whole seconds. */
const spread = (ctx: Ctx, waitMs: number): number =>
  waitMs - Math.floor(((waitMs / 5) * ctx.random(1)[0]!) / 256 / 1_000) * 1_000;

async function take(ctx: Ctx): Promise<Lease | null> {
  const nowMs = ctx.clock();
  const assignment = await ctx.inbox.lease(theNode(ctx), { nowMs, leaseMs: ctx.config.leaseMs });
  if (assignment === null) return null;
  ctx.metrics.leases.inc({ outcome: "leased" });
  return { assignment, leaseExpiresAt: new Date(nowMs + ctx.config.leaseMs).toISOString() };
}
