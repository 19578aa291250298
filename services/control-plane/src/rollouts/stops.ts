/**
 * The emergency stop of the fleet: while one is in force no rollout starts, tells a node or advances. It is a row that
 * every pass reads, so it holds whatever process, nudge or schedule comes; it is released by a person.
 */
import type { EmergencyStop, EmergencyStopRequest, EmergencyStopState } from "@picket/shared/api";
import { desc, inArray, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { isUniqueViolation } from "../db/client.ts";
import { emergencyStops, rollouts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { Refusal } from "../refusal.ts";
import { rollBackForStop } from "./change.ts";
import { waitForPasses } from "./holds.ts";
import { LIVE } from "./nudge.ts";

const show = (row: typeof emergencyStops.$inferSelect): EmergencyStop => ({
  at: row.at.toISOString(),
  by: row.by,
  reason: row.reason,
  rollBack: row.rollBack,
  releasedAt: row.releasedAt?.toISOString() ?? null,
  releasedBy: row.releasedBy,
});

/** The last one, in force or not. */
export async function showStop({ ctx }: { ctx: Ctx }): Promise<EmergencyStopState> {
  authorise(ctx, "stops.show");
  const [last] = await ctx.db.select().from(emergencyStops).orderBy(desc(emergencyStops.at)).limit(1);
  return { stop: last ? show(last) : null };
}

export async function stopFleet({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: EmergencyStopRequest;
}): Promise<EmergencyStopState> {
  authorise(ctx, "stops.stop");
  await ctx.db
    .transaction(async tx => {
      await waitForPasses(tx);
      await tx.insert(emergencyStops).values({
        id: uuid(ctx),
        at: now(ctx),
        by: actorName(ctx.actor),
        reason: input.reason,
        rollBack: input.rollBack,
      });
      await record(ctx, tx, { verb: "stop", subject: "fleet", detail: { ...input } });
    })
    .catch(error => {
      if (!isUniqueViolation(error, "emergency_stops_one")) throw error;
      // Stopping what is stopped is what was asked; a roll back asked for now is still carried out below.
    });
  const live = await ctx.db
    .select({ id: rollouts.id, state: rollouts.state })
    .from(rollouts)
    .where(inArray(rollouts.state, [...LIVE]));
  if (input.rollBack)
    for (const { id, state } of live)
      if (state === "running" || state === "paused") await rollBackForStop(ctx, id, input.reason);
  for (const { id } of live) ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: id });
  return showStop({ ctx });
}

export async function releaseFleet({ ctx }: { ctx: Ctx }): Promise<EmergencyStopState> {
  authorise(ctx, "stops.release");
  await ctx.db.transaction(async tx => {
    const released = await tx
      .update(emergencyStops)
      .set({ releasedAt: now(ctx), releasedBy: actorName(ctx.actor) })
      .where(isNull(emergencyStops.releasedAt))
      .returning();
    if (released.length === 0) throw new Refusal("wrong-state", "the fleet is not stopped");
    // What soaked while the fleet was stopped was not watched: as after a pause, the soak begins anew.
    await tx
      .update(rollouts)
      .set({ stepStartedAt: now(ctx) })
      .where(inArray(rollouts.state, ["running"]));
    await record(ctx, tx, { verb: "release", subject: "fleet", detail: {} });
  });
  const live = await ctx.db
    .select({ id: rollouts.id })
    .from(rollouts)
    .where(inArray(rollouts.state, [...LIVE]));
  for (const { id } of live) ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: id });
  return showStop({ ctx });
}
