import type { Ticket } from "@picket/shared/api";
import type { AlertId } from "@picket/shared/ids";
import { desc, eq } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { alerts, tickets } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { alertInScope } from "../identity/scope.ts";

/** The 500 that changed last. */
export async function listTickets({ ctx }: { ctx: Ctx }): Promise<Ticket[]> {
  authorise(ctx, "tickets.list");
  const rows = await ctx.db
    .select({ ticket: tickets })
    .from(tickets)
    .innerJoin(alerts, eq(tickets.alert, alerts.id))
    .where(alertInScope(ctx))
    .orderBy(desc(tickets.updatedAt))
    .limit(500);
  return rows.map(({ ticket: row }) => ({
    causalKey: row.causalKey,
    alert: row.alert as AlertId,
    adapter: row.adapter,
    state: row.state,
    number: row.number,
    url: row.url,
    lastError: row.lastError,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }));
}
