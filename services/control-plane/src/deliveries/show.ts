import type { Delivery } from "@picket/shared/api";
import type { AlertId } from "@picket/shared/ids";
import { and, desc, eq, lt } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { alerts, deliveries } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { alertInScope } from "../identity/scope.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";

export type DeliveryRow = typeof deliveries.$inferSelect;

export const showDelivery = (row: DeliveryRow): Delivery => ({
  id: row.id,
  alert: row.alert as AlertId,
  webhook: row.webhook,
  event: row.event,
  state: row.state,
  attempts: row.attempts,
  lastStatus: row.lastStatus,
  lastError: row.lastError,
  createdAt: row.createdAt.toISOString(),
  deliveredAt: row.deliveredAt?.toISOString() ?? null,
});

/** Newest first. */
export async function listDeliveries({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput;
}): Promise<Page<Delivery>> {
  authorise(ctx, "deliveries.list");
  const rows = await ctx.db
    .select({ delivery: deliveries })
    .from(deliveries)
    .innerJoin(alerts, eq(deliveries.alert, alerts.id))
    .where(
      and(alertInScope(ctx), input.cursor === undefined ? undefined : lt(deliveries.sequence, input.cursor)),
    )
    .orderBy(desc(deliveries.sequence))
    .limit(input.limit + 1);
  return pageOf(
    rows,
    input,
    row => row.delivery.sequence,
    row => showDelivery(row.delivery),
  );
}
