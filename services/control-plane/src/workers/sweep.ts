/**
 * Every few seconds each worker looks at all rows that want something and does it: what a lost nudge, a crash, an
 * emptied Redis or the mere clock left undone. It needs PostgreSQL only: with Redis away rollouts go on by it. Two
 * workers may sweep at once, since whoever changes a row locks it and looks again.
 */
import { and, asc, eq, gt, inArray, isNull, lt, lte, ne, or, sql } from "drizzle-orm";
import { foldDetections } from "../alerts/fold-detections.ts";
import { raiseAlerts, resolveAlertsById } from "../alerts/raise.ts";
import { sweepBacktests } from "../backtests/sweep.ts";
import { type Ctx, now } from "../context.ts";
import { alerts, assignments, deliveries, nodes, rollouts, sessions, tickets } from "../db/schema.ts";
import { deliver } from "../deliveries/deliver.ts";
import { forgetVerdicts } from "../immunity/forget.ts";
import { shareVerdicts } from "../immunity/share.ts";
import { lostCause, nodeLostAlert } from "../nodes/alerts.ts";
import { nodeAssignment } from "../rollouts/assign.ts";
import { LIVE } from "../rollouts/nudge.ts";
import { reconcileRollout } from "../rollouts/reconcile.ts";
import { forgetIdleShapes } from "../shapes/forget.ts";
import { syncTicket } from "../tickets/sync.ts";

const ROWS_AT_ONCE = 500;

const parts: Record<string, (ctx: Ctx) => Promise<void>> = {
  rollouts: sweepRollouts,
  inboxes: refillInboxes,
  detections: async ctx => void (await foldDetections({ ctx })),
  "lost nodes": findLostNodes,
  "quiet alerts": resolveQuietAlerts,
  deliveries: sweepDeliveries,
  tickets: sweepTickets,
  backtests: sweepBacktests,
  shapes: async ctx => void (await forgetIdleShapes({ ctx })),
  "shared verdicts": async ctx => void (await shareVerdicts({ ctx })),
  "verdicts that are over": async ctx => void (await forgetVerdicts({ ctx })),
  sessions: async ctx => void (await ctx.db.delete(sessions).where(lt(sessions.expiresAt, now(ctx)))),
};

/** Every part once. */
export async function sweep(ctx: Ctx): Promise<void> {
  for (const part of Object.values(parts)) await part(ctx);
}

/** Each part at its own pace: a receiver that is slow to take a webhook must not hold up a rollout. */
export function startSweeping(ctx: Ctx): { close(): Promise<void> } {
  const loops = Object.entries(parts).map(([name, part]) => {
    let running: Promise<void> = Promise.resolve();
    let stopped = false;
    let timer: NodeJS.Timeout;
    const later = (tookMs: number) => {
      // Several workers must not all look in the same moment.
      const jitter = 0.8 + (ctx.random(1)[0]! / 255) * 0.4;
      timer = setTimeout(
        () => {
          const fromMs = performance.now();
          running = sweepPart(ctx, name, part).finally(() => {
            if (!stopped) later(performance.now() - fromMs);
          });
        },
        // A part that takes long in a large fleet runs a third of the time at most.
        Math.max(ctx.config.sweepMs * jitter, 2 * tookMs),
      );
    };
    later(0);
    return () => {
      stopped = true;
      clearTimeout(timer);
      return running;
    };
  });
  return {
    async close() {
      await Promise.all(loops.map(stop => stop()));
    },
  };
}

async function sweepPart(ctx: Ctx, name: string, part: (ctx: Ctx) => Promise<void>): Promise<void> {
  try {
    await part(ctx);
    ctx.metrics.sweeps.inc({ part: name, outcome: "done" });
  } catch (error) {
    ctx.metrics.sweeps.inc({ part: name, outcome: "failed" });
    ctx.log.warn({ part: name, error }, "a part of the sweep failed; the next sweep repeats it");
  }
}

async function sweepRollouts(ctx: Ctx): Promise<void> {
  const active = await ctx.db
    .select({ id: rollouts.id })
    .from(rollouts)
    .where(inArray(rollouts.state, [...LIVE]));
  for (const { id } of active) await reconcileRollout({ ctx, input: { rollout: id } });
}

/** Offers again what a node that is here has not acknowledged for longer than a lease. */
async function refillInboxes(ctx: Ctx): Promise<void> {
  const rows = await ctx.db
    .select({ assignment: assignments })
    .from(assignments)
    .innerJoin(nodes, eq(assignments.node, nodes.id))
    .where(
      and(
        isNull(assignments.acknowledgedAt),
        lt(assignments.assignedAt, new Date(ctx.clock() - ctx.config.sweepMs)),
        gt(nodes.silentAt, now(ctx)),
      ),
    )
    .orderBy(asc(assignments.assignedAt))
    .limit(5_000);
  if (rows.length > 0) await ctx.inbox.offer(rows.map(({ assignment }) => nodeAssignment(assignment)));
}

async function findLostNodes(ctx: Ctx): Promise<void> {
  const silent = await ctx.db
    .select({ id: nodes.id, hostname: nodes.hostname, lastSeenAt: nodes.lastSeenAt })
    .from(nodes)
    .leftJoin(
      alerts,
      and(
        sql`${alerts.causalKey} = ${lostCause("" as never)} || ${nodes.id}::text`,
        ne(alerts.state, "resolved"),
      ),
    )
    .where(and(isNull(nodes.retiredAt), isNull(alerts.id), lt(nodes.silentAt, now(ctx))))
    .limit(ROWS_AT_ONCE);
  if (silent.length === 0) return;
  const effects = await ctx.db.transaction(tx =>
    raiseAlerts(
      ctx,
      tx,
      silent.map(({ id, hostname, lastSeenAt }) => ({
        ...nodeLostAlert(id, hostname, lastSeenAt!),
        nodes: [id],
        count: 1,
        at: now(ctx),
      })),
    ),
  );
  effects.nudge();
}

async function resolveQuietAlerts(ctx: Ctx): Promise<void> {
  const quietSince = new Date(ctx.clock() - ctx.config.alertQuietMs);
  const effects = await ctx.db.transaction(async tx => {
    const quiet = await tx
      .select({ id: alerts.id })
      .from(alerts)
      .where(and(ne(alerts.state, "resolved"), eq(alerts.endsQuietly, true), lt(alerts.heardAt, quietSince)))
      .limit(ROWS_AT_ONCE)
      .for("update");
    return resolveAlertsById(
      ctx,
      tx,
      quiet.map(({ id }) => id),
    );
  });
  effects.nudge();
}

async function sweepDeliveries(ctx: Ctx): Promise<void> {
  const due = await ctx.db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(eq(deliveries.state, "pending"), lte(deliveries.nextAttemptAt, now(ctx))))
    .orderBy(asc(deliveries.nextAttemptAt))
    .limit(50);
  await Promise.all(due.map(({ id }) => deliver({ ctx, input: { delivery: id } })));
}

async function sweepTickets(ctx: Ctx): Promise<void> {
  const due = await ctx.db
    .select({ causalKey: tickets.causalKey })
    .from(tickets)
    .where(
      and(
        lte(tickets.nextAttemptAt, now(ctx)),
        or(isNull(tickets.lockedUntil), lt(tickets.lockedUntil, now(ctx))),
      ),
    )
    .orderBy(asc(tickets.nextAttemptAt))
    .limit(20);
  for (const { causalKey } of due) await syncTicket({ ctx, input: { causalKey } });
}
