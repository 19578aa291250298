/** Says that a cause's ticket must be brought in line with its alert; sync.ts calls the tracker. */
import { sql } from "drizzle-orm";
import { worse } from "../alerts/priority.ts";
import type { AlertRow } from "../alerts/raise.ts";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { tickets } from "../db/schema.ts";

/** The causal key when there is something to do; null when tickets are off or the alert is too low. */
export async function markTicket(ctx: Ctx, tx: Tx, alert: AlertRow): Promise<string | null> {
  if (!ctx.config.github || !worse(alert.priority, ctx.config.ticketPriorityMin)) return null;
  await tx
    .insert(tickets)
    .values({
      causalKey: alert.causalKey,
      adapter: "github",
      state: "open",
      alert: alert.id,
      nextAttemptAt: now(ctx),
      createdAt: now(ctx),
      updatedAt: now(ctx),
    })
    .onConflictDoUpdate({
      target: tickets.causalKey,
      set: {
        alert: sql`excluded.alert`,
        revision: sql`${tickets.revision} + 1`,
        attempts: 0,
        nextAttemptAt: sql`excluded.next_attempt_at`,
        updatedAt: sql`excluded.updated_at`,
      },
    });
  return alert.causalKey;
}
