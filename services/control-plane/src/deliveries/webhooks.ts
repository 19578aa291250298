/** Receivers of alerts. */
import type { Webhook, WebhookRequest } from "@picket/shared/api";
import { and, asc, eq, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { deliveries, webhooks } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { seal } from "./secret-box.ts";

/** Credentials in a receiver's address are the receiver's secret: they are not shown again. */
function withoutPassword(url: string): string {
  const shown = new URL(url);
  if (shown.password) shown.password = "***";
  return shown.href;
}

const show = (row: typeof webhooks.$inferSelect): Webhook => ({
  id: row.id,
  url: withoutPassword(row.url),
  priorityMin: row.priorityMin,
  disabledAt: row.disabledAt?.toISOString() ?? null,
});

export async function listWebhooks({ ctx }: { ctx: Ctx }): Promise<Webhook[]> {
  authorise(ctx, "deliveries.list-webhooks");
  const rows = await ctx.db
    .select()
    .from(webhooks)
    .where(isNull(webhooks.deletedAt))
    .orderBy(asc(webhooks.createdAt));
  return rows.map(show);
}

export async function createWebhook({ ctx, input }: { ctx: Ctx; input: WebhookRequest }): Promise<Webhook> {
  authorise(ctx, "deliveries.create-webhook");
  if (input.url.length > 2_000) throw new Refusal("invalid", "the address is longer than 2,000 characters");
  // Standard Webhooks: 24 to 64 random bytes, base64, after whsec_.
  const secret = `whsec_${ctx.random(32).toString("base64")}`;
  return ctx.db.transaction(async tx => {
    const [row] = await tx
      .insert(webhooks)
      .values({
        id: uuid(ctx),
        url: input.url,
        priorityMin: input.priorityMin,
        secret: seal(ctx, secret),
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
      })
      .returning();
    await record(ctx, tx, {
      verb: "create-webhook",
      subject: `webhook:${row!.id}`,
      detail: { host: new URL(input.url).host, priorityMin: input.priorityMin },
    });
    return { ...show(row!), secret };
  });
}

/** What was not delivered yet never will be. */
export async function deleteWebhook({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "deliveries.delete-webhook");
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(webhooks)
      .set({ deletedAt: now(ctx), secret: "" })
      .where(and(eq(webhooks.id, input.id), isNull(webhooks.deletedAt)))
      .returning();
    if (!row) throw notFound(`webhook ${input.id}`);
    await tx
      .update(deliveries)
      .set({ state: "dead", lastError: "the webhook was deleted" })
      .where(and(eq(deliveries.webhook, row.id), eq(deliveries.state, "pending")));
    await record(ctx, tx, { verb: "delete-webhook", subject: `webhook:${row.id}` });
  });
}
