/** What holds every rollout of the fleet: the emergency stop and freeze windows. */
import { isNull, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { emergencyStops, freezes } from "../db/schema.ts";
import type { Holds } from "./core.ts";
import { frozenUntil } from "./freeze.ts";

const STOP_LOCK = 7_400_003;

/** Passes share it and a stop takes it alone: when a stop is answered, no pass is under way that did not see it. */
export async function readHolds(ctx: Ctx, tx: Tx): Promise<Holds> {
  await tx.execute(sql`select pg_advisory_xact_lock_shared(${STOP_LOCK})`);
  const [stop] = await tx
    .select({ by: emergencyStops.by, reason: emergencyStops.reason })
    .from(emergencyStops)
    .where(isNull(emergencyStops.releasedAt));
  const windows = await tx.select({ window: freezes.window, reason: freezes.reason }).from(freezes);
  return { stop: stop ?? null, frozen: frozenUntil(windows, ctx.clock()) };
}

export async function waitForPasses(tx: Tx): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${STOP_LOCK})`);
}
