/**
 * Raises and resolves alerts in the transaction of what caused them. One cause has one live alert (a partial unique
 * index keeps it so); what a webhook or the tracker must hear is written as rows in the same transaction, and the
 * returned effects nudge the workers after the commit.
 */
import type { AlertId, NodeId } from "@picket/shared/ids";
import type { Priority } from "@picket/shared/vocabulary";
import { and, asc, eq, inArray, ne, sql } from "drizzle-orm";
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
  /** Who saw it. */
  nodes: NodeId[];
  count: number;
  /** When it was seen last. */
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

/** Causes are distinct. Three statements for any number of them, and one more for each that changes its words. */
export async function raiseAlerts(ctx: Ctx, tx: Tx, raised: readonly Raised[]): Promise<Effects> {
  const effects = collect(ctx);
  if (raised.length === 0) return effects;
  // In one order everywhere, so that two transactions cannot wait for each other's alerts.
  const ordered = raised.toSorted((a, b) => (a.causalKey < b.causalKey ? -1 : 1));
  const live = await lockLive(
    tx,
    ordered.map(({ causalKey }) => causalKey),
  );
  const opened = await open(
    ctx,
    tx,
    ordered.filter(({ causalKey }) => !live.has(causalKey)),
  );
  const openedCauses = new Set(opened.map(({ causalKey }) => causalKey));
  for (const alert of opened) await announced(ctx, tx, alert, effects);
  // Somebody else opened these between the two statements.
  const raced = ordered.filter(({ causalKey }) => !live.has(causalKey) && !openedCauses.has(causalKey));
  for (const [cause, alert] of await lockLive(
    tx,
    raced.map(({ causalKey }) => causalKey),
  ))
    live.set(cause, alert);
  await join(ctx, tx, ordered, live, effects);
  return effects;
}

async function announced(ctx: Ctx, tx: Tx, alert: AlertRow, effects: Collected): Promise<void> {
  effects.deliveries(await announce(ctx, tx, alert, "alert.opened"));
  effects.ticket(await markTicket(ctx, tx, alert));
}

async function lockLive(tx: Tx, causalKeys: string[]): Promise<Map<string, AlertRow>> {
  if (causalKeys.length === 0) return new Map();
  const rows = await tx
    .select()
    .from(alerts)
    .where(and(inArray(alerts.causalKey, causalKeys), ne(alerts.state, "resolved")))
    .orderBy(asc(alerts.causalKey))
    .for("update");
  return new Map(rows.map(row => [row.causalKey, row]));
}

async function open(ctx: Ctx, tx: Tx, raised: readonly Raised[]): Promise<AlertRow[]> {
  if (raised.length === 0) return [];
  return tx
    .insert(alerts)
    .values(
      raised.map(one => ({
        id: uuid(ctx),
        priority: one.priority,
        state: "open" as const,
        causalKey: one.causalKey,
        title: one.title,
        summary: one.summary,
        count: one.count,
        nodes: one.nodes.slice(0, NODES_MAX),
        firstAt: one.at,
        lastAt: one.at,
        heardAt: now(ctx),
        endsQuietly: one.endsQuietly,
      })),
    )
    .onConflictDoNothing()
    .returning();
}

/** A flood of what is known already is one statement; only what changes an alert's words is a statement of its own. */
async function join(
  ctx: Ctx,
  tx: Tx,
  raised: readonly Raised[],
  live: ReadonlyMap<string, AlertRow>,
  effects: Collected,
): Promise<void> {
  const known = raised.flatMap(one => {
    const alert = live.get(one.causalKey);
    return alert ? [{ one, alert }] : [];
  });
  if (known.length === 0) return;
  await tx.execute(sql`
    update alerts set
      count = alerts.count + seen.count, heard_at = ${now(ctx).toISOString()}::timestamptz,
      -- Events may come late and out of order.
      last_at = greatest(alerts.last_at, seen.at), first_at = least(alerts.first_at, seen.at)
    from jsonb_to_recordset(${JSON.stringify(known.map(({ one, alert }) => ({ id: alert.id, count: one.count, at: one.at })))}::jsonb)
      as seen(id uuid, count bigint, at timestamptz)
    where alerts.id = seen.id`);
  for (const { one, alert } of known) {
    const nodes = [...new Set([...alert.nodes, ...one.nodes])].slice(0, NODES_MAX);
    const rises = one.priority !== alert.priority && worse(one.priority, alert.priority);
    if (nodes.length === alert.nodes.length && !rises) continue;
    const words = { priority: one.priority, title: one.title, summary: one.summary, state: "open" as const };
    const [changed] = await tx
      .update(alerts)
      .set({ nodes, ...(rises && words) })
      .where(eq(alerts.id, alert.id))
      .returning();
    if (rises) await announced(ctx, tx, changed!, effects);
  }
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
