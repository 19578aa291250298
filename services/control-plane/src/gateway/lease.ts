import type { Lease } from "@picket/shared/contract";
import type { Ctx } from "../context.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";
import type { Waiters } from "./waiters.ts";

export const WAIT_S_MAX = 60;

/** Waits for an assignment; null when there is none after the wait. Redis away throws at once. */
export async function lease({
  ctx,
  input,
  waiters,
}: {
  ctx: Ctx;
  input: { waitMs: number; signal: AbortSignal };
  waiters: Waiters;
}): Promise<Lease | null> {
  authorise(ctx, "agent.lease");
  const node = theNode(ctx);
  const take = async (): Promise<Lease | null> => {
    const nowMs = ctx.clock();
    const assignment = await ctx.inbox.lease(node, { nowMs, leaseMs: ctx.config.leaseMs });
    if (assignment === null) return null;
    ctx.metrics.leases.inc({ outcome: "leased" });
    return { assignment, leaseExpiresAt: new Date(nowMs + ctx.config.leaseMs).toISOString() };
  };

  const waiter = waiters.register(node);
  ctx.metrics.waiters.set(waiters.size);
  input.signal.addEventListener("abort", waiter.end, { once: true });
  try {
    const waiting = await take();
    if (waiting) return waiting;
    const rung = await waiter.rung(input.waitMs);
    // Whoever has gone must not take a lease along.
    return rung && !input.signal.aborted ? await take() : null;
  } finally {
    waiter.end();
    ctx.metrics.waiters.set(waiters.size);
    input.signal.removeEventListener("abort", waiter.end);
  }
}
