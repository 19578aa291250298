/** Backtests as people see them. */
import type { Backtest, BacktestDetails } from "@picket/shared/backtest";
import type { RuleSetName, RuleVersion } from "@picket/shared/ids";
import { and, desc, eq, lt } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { backtests } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";

const columns = {
  id: backtests.id,
  sequence: backtests.sequence,
  ruleSet: backtests.ruleSet,
  version: backtests.version,
  baseline: backtests.baseline,
  state: backtests.state,
  createdAt: backtests.createdAt,
  createdBy: backtests.createdBy,
  finishedAt: backtests.finishedAt,
  summary: backtests.summary,
  error: backtests.error,
};
type Row = Pick<typeof backtests.$inferSelect, keyof typeof columns>;

export const showRow = ({
  id,
  ruleSet,
  version,
  baseline,
  state,
  createdBy,
  summary,
  error,
  ...row
}: Row): Backtest => ({
  id,
  ruleSet,
  version,
  baseline,
  state,
  createdAt: row.createdAt.toISOString(),
  createdBy,
  finishedAt: row.finishedAt?.toISOString() ?? null,
  summary,
  error,
});

/** Newest first. */
export async function listBacktests({ ctx, input }: { ctx: Ctx; input: PageInput }): Promise<Page<Backtest>> {
  authorise(ctx, "backtests.list");
  const rows = await ctx.db
    .select(columns)
    .from(backtests)
    .where(input.cursor === undefined ? undefined : lt(backtests.sequence, input.cursor))
    .orderBy(desc(backtests.sequence))
    .limit(input.limit + 1);
  return pageOf(rows, input, row => row.sequence, showRow);
}

export async function showBacktest({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string };
}): Promise<BacktestDetails> {
  authorise(ctx, "backtests.show");
  const [row] = await ctx.db.select().from(backtests).where(eq(backtests.id, input.id));
  if (!row) throw notFound(`backtest ${input.id}`);
  return { ...showRow(row), report: row.report };
}

/** Of a version, for whoever rolls it out. */
export async function newestBacktest(
  db: Tx,
  { ruleSet, version }: { ruleSet: RuleSetName; version: RuleVersion },
): Promise<Backtest | null> {
  const [row] = await db
    .select(columns)
    .from(backtests)
    .where(and(eq(backtests.ruleSet, ruleSet), eq(backtests.version, version)))
    .orderBy(desc(backtests.sequence))
    .limit(1);
  return row ? showRow(row) : null;
}
