/** Writes what webhooks must hear of an alert, as rows: one per alert, webhook, event and priority. */
import type { WebhookPayload } from "@picket/shared/api";
import { and, eq, isNull } from "drizzle-orm";
import { worse } from "../alerts/priority.ts";
import type { AlertRow } from "../alerts/raise.ts";
import { showAlertRow } from "../alerts/show.ts";
import { type Ctx, now, uuid } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { deliveries, tickets, webhooks } from "../db/schema.ts";
import { fitBody } from "./body.ts";

/** Ids of the deliveries that are new. */
export async function announce(
  ctx: Ctx,
  tx: Tx,
  alert: AlertRow,
  event: WebhookPayload["type"],
): Promise<string[]> {
  const receivers = await receiversOf(tx, alert, event);
  if (receivers.length === 0) return [];
  const [ticket] = await tx
    .select({ url: tickets.url })
    .from(tickets)
    .where(eq(tickets.causalKey, alert.causalKey));
  const body = fitBody({
    type: event,
    timestamp: now(ctx).toISOString(),
    data: showAlertRow(alert, ticket?.url ?? null),
  });
  const rows = await tx
    .insert(deliveries)
    .values(
      receivers.map(webhook => ({
        id: uuid(ctx),
        alert: alert.id,
        webhook,
        event,
        priority: alert.priority,
        body,
        state: "pending" as const,
        nextAttemptAt: now(ctx),
        createdAt: now(ctx),
      })),
    )
    .onConflictDoNothing()
    .returning({ id: deliveries.id });
  return rows.map(({ id }) => id);
}

async function receiversOf(tx: Tx, alert: AlertRow, event: WebhookPayload["type"]): Promise<string[]> {
  const live = and(isNull(webhooks.disabledAt), isNull(webhooks.deletedAt));
  switch (event) {
    case "alert.opened": {
      const rows = await tx
        .select({ id: webhooks.id, priorityMin: webhooks.priorityMin })
        .from(webhooks)
        .where(live);
      return rows.filter(row => worse(alert.priority, row.priorityMin)).map(({ id }) => id);
    }
    case "alert.resolved": {
      // Only who heard that it opened hears that it ended.
      const rows = await tx
        .selectDistinct({ id: webhooks.id })
        .from(deliveries)
        .innerJoin(webhooks, eq(deliveries.webhook, webhooks.id))
        .where(and(eq(deliveries.alert, alert.id), eq(deliveries.event, "alert.opened"), live));
      return rows.map(({ id }) => id);
    }
  }
}
