import type { Delivery } from "@picket/shared/api";
import { eq } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { deliveries, webhooks } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { showDelivery } from "./show.ts";

/** A dead letter gets its attempts anew, under the same webhook-id. A disabled webhook is enabled by it. */
export async function sendAgain({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<Delivery> {
  authorise(ctx, "deliveries.send-again");
  const row = await ctx.db.transaction(async tx => {
    const [found] = await tx
      .select({ delivery: deliveries, webhook: webhooks })
      .from(deliveries)
      .innerJoin(webhooks, eq(deliveries.webhook, webhooks.id))
      .where(eq(deliveries.id, input.id))
      .for("update");
    if (!found) throw notFound(`delivery ${input.id}`);
    if (found.delivery.state !== "dead")
      throw new Refusal(
        "wrong-state",
        `the delivery is ${found.delivery.state}: only a dead one is sent again`,
      );
    if (found.webhook.deletedAt !== null) throw new Refusal("wrong-state", "its webhook was deleted");
    await tx.update(webhooks).set({ disabledAt: null }).where(eq(webhooks.id, found.webhook.id));
    const [again] = await tx
      .update(deliveries)
      .set({ state: "pending", attempts: 0, nextAttemptAt: now(ctx) })
      .where(eq(deliveries.id, input.id))
      .returning();
    await record(ctx, tx, { verb: "send-again", subject: `delivery:${input.id}` });
    return again!;
  });
  ctx.jobs.nudge({ kind: "deliver-webhook", delivery: row.id });
  return showDelivery(row);
}
