/** Rule sets and their versions as people see them. */
import type { RuleSetSummary, RuleVersionDetails, RuleVersionRow } from "@picket/shared/api";
import type { RuleSetName, RuleVersion } from "@picket/shared/ids";
import { and, count, desc, eq, lt, max } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { rollouts, ruleVersions } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";

type Row = typeof ruleVersions.$inferSelect;

export const showVersionRow = (row: Row): RuleVersionRow => ({
  ruleSet: row.ruleSet,
  version: row.version,
  bundle: row.bundle,
  signedBy: row.signedBy,
  floor: row.floor,
  expiresAt: row.expiresAt.toISOString(),
  pushedAt: row.pushedAt.toISOString(),
  pushedBy: row.pushedBy,
});

export async function listRuleSets({ ctx }: { ctx: Ctx }): Promise<RuleSetSummary[]> {
  authorise(ctx, "rules.list-sets");
  const sets = await ctx.db
    .select({
      name: ruleVersions.ruleSet,
      latest: max(ruleVersions.version),
      versions: count(),
      pushedAt: max(ruleVersions.pushedAt),
    })
    .from(ruleVersions)
    .groupBy(ruleVersions.ruleSet)
    .orderBy(ruleVersions.ruleSet);
  const stable = await ctx.db
    .selectDistinctOn([rollouts.ruleSet], { ruleSet: rollouts.ruleSet, version: rollouts.version })
    .from(rollouts)
    .where(eq(rollouts.state, "complete"))
    .orderBy(rollouts.ruleSet, desc(rollouts.sequence));
  const stableOf = new Map(stable.map(({ ruleSet, version }) => [ruleSet, version]));
  return sets.map(set => ({
    name: set.name,
    latest: set.latest as RuleVersion,
    stable: stableOf.get(set.name) ?? null,
    versions: set.versions,
    pushedAt: set.pushedAt!.toISOString(),
  }));
}

/** Newest first; the cursor is a version. */
export async function listVersions({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput & { name: RuleSetName };
}): Promise<Page<RuleVersionRow>> {
  authorise(ctx, "rules.list-versions");
  const rows = await ctx.db
    .select()
    .from(ruleVersions)
    .where(
      and(
        eq(ruleVersions.ruleSet, input.name),
        input.cursor === undefined ? undefined : lt(ruleVersions.version, input.cursor as RuleVersion),
      ),
    )
    .orderBy(desc(ruleVersions.version))
    .limit(input.limit + 1);
  if (rows.length === 0 && input.cursor === undefined) throw notFound(`rule set ${input.name}`);
  return pageOf(rows, input, row => row.version, showVersionRow);
}

export async function showVersion({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { name: RuleSetName; version: RuleVersion };
}): Promise<RuleVersionDetails> {
  authorise(ctx, "rules.show-version");
  const [row] = await ctx.db
    .select()
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, input.name), eq(ruleVersions.version, input.version)));
  if (!row) throw notFound(`version ${input.version} of rule set ${input.name}`);
  return { ...showVersionRow(row), ruleText: row.ruleText, envelope: row.envelope };
}
