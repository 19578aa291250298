/** The operator's off-switch: everything shared is taken back, and nothing is shared until a person says so. */
import type { ImmunityStatus, SharingStopRequest } from "@picket/shared/api";
import { inArray, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { isUniqueViolation } from "../db/client.ts";
import { sharedVerdicts, sharingStops } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { Refusal } from "../refusal.ts";
import { announceVerdicts, endVerdicts } from "./issue.ts";
import { showImmunity } from "./show.ts";

export async function stopSharing({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: SharingStopRequest;
}): Promise<ImmunityStatus> {
  authorise(ctx, "immunity.stop");
  await ctx.db
    .transaction(async tx => {
      await tx
        .insert(sharingStops)
        .values({ id: uuid(ctx), at: now(ctx), by: actorName(ctx.actor), reason: input.reason });
      await record(ctx, tx, { verb: "stop", subject: "immunity", detail: { ...input } });
    })
    .catch(error => {
      // Stopping what is stopped is what was asked.
      if (!isUniqueViolation(error, "sharing_stops_one")) throw error;
    });
  // After the stop is there to be seen: a claim that is signed meanwhile is found here, too.
  await ctx.db.transaction(async tx => {
    const live = await tx
      .select({ id: sharedVerdicts.id })
      .from(sharedVerdicts)
      .where(inArray(sharedVerdicts.state, ["pending", "in-force"]));
    await endVerdicts(
      ctx,
      tx,
      live.map(({ id }) => id),
      `sharing was stopped: ${input.reason}`,
    );
  });
  await announceVerdicts(ctx);
  return showImmunity({ ctx });
}

export async function releaseSharing({ ctx }: { ctx: Ctx }): Promise<ImmunityStatus> {
  authorise(ctx, "immunity.release");
  await ctx.db.transaction(async tx => {
    const released = await tx
      .update(sharingStops)
      .set({ releasedAt: now(ctx), releasedBy: actorName(ctx.actor) })
      .where(isNull(sharingStops.releasedAt))
      .returning();
    if (released.length === 0) throw new Refusal("wrong-state", "sharing is not stopped");
    await record(ctx, tx, { verb: "release", subject: "immunity", detail: {} });
  });
  return showImmunity({ ctx });
}
