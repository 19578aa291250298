/** Runs what a lost nudge or a dead process left, and forgets what nobody will read any more. */
import { and, asc, eq, lt, or, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { backtests } from "../db/schema.ts";
import { RUN_MS_MAX, runBacktest } from "./run.ts";

const KEPT = 1_000;

export async function sweepBacktests(ctx: Ctx): Promise<void> {
  const [due] = await ctx.db
    .select({ id: backtests.id })
    .from(backtests)
    .where(
      or(
        and(
          eq(backtests.state, "queued"),
          lt(backtests.createdAt, new Date(ctx.clock() - ctx.config.sweepMs)),
        ),
        and(eq(backtests.state, "running"), lt(backtests.startedAt, new Date(ctx.clock() - RUN_MS_MAX))),
      ),
    )
    .orderBy(asc(backtests.sequence))
    .limit(1);
  if (due) await runBacktest({ ctx, input: { backtest: due.id } });
  await ctx.db.execute(sql`
    delete from backtests where finished_at is not null and sequence <= (
      select sequence from backtests order by sequence desc offset ${KEPT} limit 1)`);
}
