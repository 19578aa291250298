/** What a backtest is compared with: the version that the last complete rollout of the rule set made stable. */
import type { RuleSetName, RuleVersion } from "@picket/shared/ids";
import { and, desc, eq } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { rollouts, ruleVersions } from "../db/schema.ts";

export type Baseline = { version: RuleVersion; ruleText: string; pushedAt: Date };

export async function newestComplete(ctx: Ctx, ruleSet: RuleSetName): Promise<Baseline | null> {
  const [row] = await ctx.db
    .select({
      version: ruleVersions.version,
      ruleText: ruleVersions.ruleText,
      pushedAt: ruleVersions.pushedAt,
    })
    .from(rollouts)
    .innerJoin(
      ruleVersions,
      and(eq(ruleVersions.ruleSet, rollouts.ruleSet), eq(ruleVersions.version, rollouts.version)),
    )
    .where(and(eq(rollouts.ruleSet, ruleSet), eq(rollouts.state, "complete")))
    .orderBy(desc(rollouts.sequence))
    .limit(1);
  return row ?? null;
}
