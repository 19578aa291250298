/**
 * Runs a backtest: the fleet's shapes, page by page, through a thread that judges, so that nobody who asks this
 * process for something waits. Whoever takes the row runs it; one whose process died is taken again.
 */
import { type BacktestReport, backtestSummary } from "@picket/shared/backtest";
import type { ShapeDigest } from "@picket/shared/ids";
import type { Dialect } from "@picket/shared/vocabulary";
import { and, eq, lt, or, sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { backtests } from "../db/schema.ts";
import { newestComplete } from "./baseline.ts";
import { openReplay, type Replay } from "./replay.ts";

/** Longer than any run lasts: who started it is gone. */
export const RUN_MS_MAX = 10 * 60_000;
const PAGE = 1_000;
const NEW_DAYS = 7;

export async function runBacktest({ ctx, input }: { ctx: Ctx; input: { backtest: string } }): Promise<void> {
  const abandoned = new Date(ctx.clock() - RUN_MS_MAX);
  const [row] = await ctx.db
    .update(backtests)
    .set({ state: "running", startedAt: now(ctx) })
    .where(
      and(
        eq(backtests.id, input.backtest),
        or(
          eq(backtests.state, "queued"),
          and(eq(backtests.state, "running"), lt(backtests.startedAt, abandoned)),
        ),
      ),
    )
    .returning();
  if (!row) return;
  const finish = (change: Partial<typeof backtests.$inferInsert>) =>
    ctx.db
      .update(backtests)
      .set({ finishedAt: now(ctx), ...change })
      .where(eq(backtests.id, row.id));
  const baseline = await newestComplete(ctx, row.ruleSet);
  const since = baseline?.pushedAt ?? new Date(ctx.clock() - NEW_DAYS * 86_400_000);
  const opened = await openReplay({ candidate: row.ruleText, baseline: baseline?.ruleText ?? null });
  if (!opened.ok) {
    await finish({ state: "failed", error: opened.error.slice(0, 4_000) });
    return;
  }
  const replay = opened.value;
  const stop = () => replay.close();
  ctx.closing.addEventListener("abort", stop);
  const deadline = setTimeout(stop, RUN_MS_MAX);
  try {
    const report = await feed(ctx, replay, since);
    await finish({
      state: "done",
      baseline: baseline?.version ?? null,
      report,
      summary: backtestSummary(report),
    });
  } catch (error) {
    // A process that stops gives the row back; whatever else went wrong would go wrong again.
    if (ctx.closing.aborted)
      await ctx.db.update(backtests).set({ state: "queued" }).where(eq(backtests.id, row.id));
    else await finish({ state: "failed", error: (error as Error).message.slice(0, 4_000) });
  } finally {
    clearTimeout(deadline);
    ctx.closing.removeEventListener("abort", stop);
    replay.close();
  }
}

export type StoredShape = {
  digest: ShapeDigest;
  dialect: Dialect;
  text: string;
  workload: string;
  uses: number;
  nodes: number;
  isNew: boolean;
};

async function feed(ctx: Ctx, replay: Replay, since: Date): Promise<BacktestReport> {
  let after = "";
  for (;;) {
    const { rows } = await ctx.db.execute<StoredShape>(sql`
      with page as (select * from shapes where digest > ${after} order by digest limit ${PAGE})
      select page.digest, page.dialect, page.text, uses.workload, count(*)::int as nodes,
        sum(uses.uses_before + uses.uses_now)::float8 as uses,
        page.first_seen_at > ${since.toISOString()}::timestamptz as "isNew"
      from page join shape_uses as uses on uses.shape = page.digest
      group by page.digest, page.dialect, page.text, uses.workload, page.first_seen_at
      order by page.digest`);
    const last = rows.at(-1);
    if (!last) {
      // A page of shapes that nobody uses any more is not the end.
      const { rows: more } = await ctx.db.execute<{ digest: string }>(sql`
        select digest from shapes where digest > ${after} order by digest offset ${PAGE - 1} limit 1`);
      if (!more[0]) return replay.report();
      after = more[0].digest;
      continue;
    }
    await replay.feed(rows);
    after = last.digest;
  }
}
