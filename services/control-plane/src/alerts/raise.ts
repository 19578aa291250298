/**
 * Raises and resolves alerts in the transaction of what caused them. One cause has one live alert (a partial unique
 * index keeps it so); what a webhook or the tracker must hear is written as rows in the same transaction, and the
 * returned effects nudge the workers after the commit.
 */
import type { AlertId, NodeId } from "@picket/shared/ids";
import type { Priority } from "@picket/shared/vocabulary";
import { and, eq, inArray, ne } from "drizzle-orm";
import { type Ctx, now, uuid } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { alerts } from "../db/schema.ts";
import { announce } from "../deliveries/announce.ts";
import { markTicket } from "../tickets/mark.ts";
import { worse } from "./priority.ts";

export interface Raised {
  causalKey: string;
  priority: Priority;
  title: string;
  summary: string;
  node: NodeId;
  count: number;
  at: Date;
  endsQuietly: boolean;
}

export type AlertRow = typeof alerts.$inferSelect;

/** What to do once the transaction is committed. */
export interface Effects {
  nudge(): void;
}

/** A cause seen by many more nodes than this is not told apart any further. */
const NODES_MAX = 1_000;

export async function raiseAlerts(ctx: Ctx, tx: Tx, raised: readonly Raised[]): Promise<Effects> {
  const effects = collect(ctx);
  // In one order everywhere, so that two transactions cannot wait for each other's alerts.
  for (const one of [...raised].sort((a, b) => (a.causalKey < b.causalKey ? -1 : 1))) {
    const opened = await open(ctx, tx, one);
    if (opened) {
      effects.deliveries(await announce(ctx, tx, opened, "alert.opened"));
      effects.ticket(await markTicket(ctx, tx, opened));
      continue;
    }
    const [live] = await tx
      .select()
      .from(alerts)
      .where(and(eq(alerts.causalKey, one.causalKey), ne(alerts.state, "resolved")))
      .for("update");
    if (!live) continue; // Resolved between the two statements: the next sighting opens a new one.
    const joined = await join(ctx, tx, live, one);
    if (joined.priority !== live.priority) {
      effects.deliveries(await announce(ctx, tx, joined, "alert.opened"));
      effects.ticket(await markTicket(ctx, tx, joined));
    }
  }
  return effects;
}

async function open(ctx: Ctx, tx: Tx, one: Raised): Promise<AlertRow | undefined> {
  const [row] = await tx
    .insert(alerts)
    .values({
      id: uuid(ctx),
      priority: one.priority,
      state: "open",
      causalKey: one.causalKey,
      title: one.title,
      summary: one.summary,
      count: one.count,
      nodes: [one.node],
      firstAt: one.at,
      lastAt: one.at,
      heardAt: now(ctx),
      endsQuietly: one.endsQuietly,
    })
    .onConflictDoNothing()
    .returning();
  return row;
}

async function join(ctx: Ctx, tx: Tx, live: AlertRow, one: Raised): Promise<AlertRow> {
  const rises = worse(one.priority, live.priority) && one.priority !== live.priority;
  const known = live.nodes.includes(one.node) || live.nodes.length >= NODES_MAX;
  const [row] = await tx
    .update(alerts)
    .set({
      count: live.count + one.count,
      heardAt: now(ctx),
      // Events may come late and out of order.
      lastAt: one.at > live.lastAt ? one.at : live.lastAt,
      firstAt: one.at < live.firstAt ? one.at : live.firstAt,
      ...(!known && { nodes: [...live.nodes, one.node] }),
      ...(rises && {
        priority: one.priority,
        title: one.title,
        summary: one.summary,
        state: "open" as const,
      }),
    })
    .where(eq(alerts.id, live.id))
    .returning();
  return row!;
}

/** `statesOnly`: what a node says is gone can only be a state; an incident ends by falling quiet. */
export async function resolveAlerts(
  ctx: Ctx,
  tx: Tx,
  causalKeys: readonly string[],
  { statesOnly = false }: { statesOnly?: boolean } = {},
): Promise<Effects> {
  const effects = collect(ctx);
  if (causalKeys.length === 0) return effects;
  const rows = await tx
    .update(alerts)
    .set({ state: "resolved", resolvedAt: now(ctx) })
    .where(
      and(
        inArray(alerts.causalKey, [...causalKeys]),
        ne(alerts.state, "resolved"),
        statesOnly ? eq(alerts.endsQuietly, false) : undefined,
      ),
    )
    .returning();
  for (const row of rows) await resolved(ctx, tx, row, effects);
  return effects;
}

/** For the sweep: by id. */
export async function resolveAlertsById(ctx: Ctx, tx: Tx, ids: readonly string[]): Promise<Effects> {
  const effects = collect(ctx);
  if (ids.length === 0) return effects;
  const rows = await tx
    .update(alerts)
    .set({ state: "resolved", resolvedAt: now(ctx) })
    .where(and(inArray(alerts.id, [...ids]), ne(alerts.state, "resolved")))
    .returning();
  for (const row of rows) await resolved(ctx, tx, row, effects);
  return effects;
}

async function resolved(ctx: Ctx, tx: Tx, row: AlertRow, effects: Collected): Promise<void> {
  effects.deliveries(await announce(ctx, tx, row, "alert.resolved"));
  effects.ticket(await markTicket(ctx, tx, row));
}

type Collected = Effects & { deliveries(ids: string[]): void; ticket(causalKey: string | null): void };

function collect(ctx: Ctx): Collected {
  const deliveries: string[] = [];
  const causes = new Set<string>();
  return {
    deliveries: ids => void deliveries.push(...ids),
    ticket: causalKey => void (causalKey !== null && causes.add(causalKey)),
    nudge() {
      for (const delivery of deliveries) ctx.jobs.nudge({ kind: "deliver-webhook", delivery });
      for (const causalKey of causes) ctx.jobs.nudge({ kind: "sync-ticket", causalKey });
    },
  };
}

export const alertId = (row: AlertRow): AlertId => row.id as AlertId;
