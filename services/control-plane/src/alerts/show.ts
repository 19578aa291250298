/** Alerts as people and webhooks see them. */
import type { Alert } from "@picket/shared/api";
import { and, desc, eq, lt } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { alerts, tickets } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { alertInScope } from "../identity/scope.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";
import { type AlertRow, alertId } from "./raise.ts";

export function showAlertRow(row: AlertRow, ticketUrl: string | null): Alert {
  return {
    id: alertId(row),
    priority: row.priority,
    state: row.state,
    causalKey: row.causalKey,
    title: row.title,
    summary: row.summary,
    count: row.count,
    nodes: row.nodes,
    firstAt: row.firstAt.toISOString(),
    lastAt: row.lastAt.toISOString(),
    resolvedAt: row.resolvedAt?.toISOString() ?? null,
    acknowledgedBy: row.acknowledgedBy,
    ticketUrl,
  };
}

/** Newest first. */
export async function listAlerts({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput & { state?: Alert["state"] | undefined };
}): Promise<Page<Alert>> {
  authorise(ctx, "alerts.list");
  const rows = await ctx.db
    .select({ alert: alerts, ticketUrl: tickets.url })
    .from(alerts)
    .leftJoin(tickets, eq(tickets.causalKey, alerts.causalKey))
    .where(
      and(
        alertInScope(ctx),
        input.state === undefined ? undefined : eq(alerts.state, input.state),
        input.cursor === undefined ? undefined : lt(alerts.sequence, input.cursor),
      ),
    )
    .orderBy(desc(alerts.sequence))
    .limit(input.limit + 1);
  return pageOf(
    rows,
    input,
    row => row.alert.sequence,
    row => showAlertRow(row.alert, row.ticketUrl),
  );
}

export async function showAlert({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<Alert> {
  authorise(ctx, "alerts.show");
  const [row] = await ctx.db
    .select({ alert: alerts, ticketUrl: tickets.url })
    .from(alerts)
    .leftJoin(tickets, eq(tickets.causalKey, alerts.causalKey))
    .where(eq(alerts.id, input.id));
  if (!row) throw notFound(`alert ${input.id}`);
  return showAlertRow(row.alert, row.ticketUrl);
}
