/** Asks for a backtest: of a pushed version, or of a rule text that its author has not pushed yet. */
import { checkRuleSet } from "@picket/judge/check";
import type { Backtest, BacktestRequest } from "@picket/shared/backtest";
import type { RuleSetName, RuleVersion } from "@picket/shared/ids";
import { and, count, eq, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { backtests, ruleVersions } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { newestComplete } from "./baseline.ts";
import { showRow } from "./show.ts";

/** Waiting or running at once. */
const UNFINISHED_MAX = 20;

export async function startBacktest({ ctx, input }: { ctx: Ctx; input: BacktestRequest }): Promise<Backtest> {
  authorise(ctx, "backtests.start");
  const { ruleSet, version, ruleText } =
    "ruleText" in input ? ofText(input.ruleText) : await ofVersion(ctx, input.ruleSet, input.version);
  const [unfinished] = await ctx.db
    .select({ count: count() })
    .from(backtests)
    .where(isNull(backtests.finishedAt));
  if ((unfinished?.count ?? 0) >= UNFINISHED_MAX)
    throw new Refusal("rate-limited", `${UNFINISHED_MAX} backtests are not finished yet`, {
      retryAfterS: 30,
    });
  const baseline = (await newestComplete(ctx, ruleSet))?.version ?? null;
  const row = await ctx.db.transaction(async tx => {
    const [made] = await tx
      .insert(backtests)
      .values({
        id: uuid(ctx),
        ruleSet,
        version,
        baseline,
        ruleText,
        state: "queued",
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
      })
      .returning();
    await record(ctx, tx, {
      verb: "backtest",
      subject: `rule-set:${ruleSet}${version === null ? "" : `/${version}`}`,
      detail: { backtest: made!.id },
    });
    return made!;
  });
  ctx.jobs.nudge({ kind: "run-backtest", backtest: row.id });
  return showRow(row);
}

type Subject = { ruleSet: RuleSetName; version: RuleVersion | null; ruleText: string };

function ofText(ruleText: string): Subject {
  const checked = checkRuleSet(ruleText);
  if (checked.ok) return { ruleSet: checked.value.metadata.name, version: null, ruleText };
  throw new Refusal(
    "rule-text-invalid",
    checked.error
      .slice(0, 20)
      .map(({ line, column, message }) => `line ${line}, column ${column}: ${message}`)
      .join("\n"),
  );
}

async function ofVersion(ctx: Ctx, ruleSet: RuleSetName, version: RuleVersion): Promise<Subject> {
  const [row] = await ctx.db
    .select({ ruleText: ruleVersions.ruleText })
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, ruleSet), eq(ruleVersions.version, version)));
  if (!row) throw notFound(`version ${version} of rule set ${ruleSet}`);
  return { ruleSet, version, ruleText: row.ruleText };
}
