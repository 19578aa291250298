import type { Alert } from "@picket/shared/api";
import { eq } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx } from "../context.ts";
import { alerts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { showAlert } from "./show.ts";

/** Somebody has seen it. Acknowledging twice keeps who was first. */
export async function acknowledgeAlert({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<Alert> {
  authorise(ctx, "alerts.acknowledge");
  await ctx.db.transaction(async tx => {
    const [alert] = await tx.select().from(alerts).where(eq(alerts.id, input.id)).for("update");
    if (!alert) throw notFound(`alert ${input.id}`);
    if (alert.state === "resolved") throw new Refusal("wrong-state", "the alert is resolved already");
    if (alert.state === "acknowledged") return;
    await tx
      .update(alerts)
      .set({ state: "acknowledged", acknowledgedBy: actorName(ctx.actor) })
      .where(eq(alerts.id, alert.id));
    await record(ctx, tx, {
      verb: "acknowledge",
      subject: `alert:${alert.id}`,
      detail: { causalKey: alert.causalKey },
    });
  });
  return showAlert({ ctx, input });
}
