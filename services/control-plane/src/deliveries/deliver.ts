/**
 * One attempt of one delivery. Claiming moves the next attempt into the future, so two workers do not both send;
 * a worker that dies while sending leaves a row that comes due again: at least once, under a stable webhook-id.
 */
import { and, eq, isNull, lte, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { deliveries, webhooks } from "../db/schema.ts";
import { post } from "./post.ts";
import { nextAttempt, type Outcome } from "./schedule.ts";
import { unseal } from "./secret-box.ts";
import type { DeliveryRow } from "./show.ts";
import { sign } from "./signature.ts";

export async function deliver({ ctx, input }: { ctx: Ctx; input: { delivery: string } }): Promise<void> {
  const claimed = await claim(ctx, input.delivery);
  if (!claimed) return;
  const [webhook] = await ctx.db.select().from(webhooks).where(eq(webhooks.id, claimed.webhook));
  if (!webhook || webhook.disabledAt !== null || webhook.deletedAt !== null)
    return settle(ctx, claimed, { kind: "refused", error: "the webhook is disabled" });
  const timestampS = Math.floor(ctx.clock() / 1_000);
  const outcome = await post({
    url: webhook.url,
    body: claimed.body,
    headers: {
      "content-type": "application/json",
      "user-agent": "picket/0.1",
      "webhook-id": claimed.id,
      "webhook-timestamp": String(timestampS),
      "webhook-signature": sign(unseal(ctx, webhook.secret), {
        id: claimed.id,
        timestampS,
        body: claimed.body,
      }),
    },
    timeoutMs: ctx.config.deliveryTimeoutMs,
    allowedNetworks: ctx.config.allowPrivateWebhooks,
  });
  await settle(ctx, claimed, outcome);
}

async function claim(ctx: Ctx, id: string): Promise<DeliveryRow | undefined> {
  const [row] = await ctx.db
    .update(deliveries)
    .set({
      attempts: sql`${deliveries.attempts} + 1`,
      nextAttemptAt: new Date(ctx.clock() + 2 * ctx.config.deliveryTimeoutMs),
    })
    .where(
      and(eq(deliveries.id, id), eq(deliveries.state, "pending"), lte(deliveries.nextAttemptAt, now(ctx))),
    )
    .returning();
  return row;
}

async function settle(ctx: Ctx, row: DeliveryRow, outcome: Outcome): Promise<void> {
  const next = nextAttempt(outcome, {
    attempts: row.attempts,
    scheduleMs: ctx.config.deliveryScheduleMs,
    random: ctx.random(4).readUInt32BE() / 2 ** 32,
  });
  ctx.metrics.deliveries.inc({ outcome: next.kind });
  const saw =
    outcome.kind === "answered"
      ? {
          lastStatus: outcome.status,
          lastError: next.kind === "delivered" ? null : `status ${outcome.status}`,
        }
      : { lastError: outcome.error };
  // Deleting its webhook may have ended the delivery meanwhile.
  const update = (values: Partial<DeliveryRow>) =>
    ctx.db
      .update(deliveries)
      .set({ ...saw, ...values })
      .where(and(eq(deliveries.id, row.id), eq(deliveries.state, "pending")));
  switch (next.kind) {
    case "delivered":
      await update({ state: "delivered", deliveredAt: now(ctx) });
      return;
    case "retry":
      await update({ nextAttemptAt: new Date(ctx.clock() + next.inMs) });
      ctx.jobs.nudge(
        { kind: "deliver-webhook", delivery: row.id },
        { delayMs: next.inMs + 5, once: "retry" },
      );
      return;
    case "dead":
      await update({ state: "dead", lastError: next.because });
      if (next.disable) await disable(ctx, row.webhook, next.because);
      return;
  }
}

async function disable(ctx: Ctx, webhook: string, because: string): Promise<void> {
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(webhooks)
      .set({ disabledAt: now(ctx) })
      .where(and(eq(webhooks.id, webhook), isNull(webhooks.disabledAt)))
      .returning({ id: webhooks.id });
    if (row)
      await record(ctx, tx, { verb: "disable-webhook", subject: `webhook:${webhook}`, detail: { because } });
  });
}
