/** What is shared, by whom, and who believes it. */
import type { ImmunityStatus, SharedVerdictRow, VerdictAnswerRow } from "@picket/shared/api";
import { publicKeyOf } from "@picket/shared/dsse";
import type { SharedVerdictId } from "@picket/shared/ids";
import { and, asc, count, desc, eq, isNull, lt, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import {
  nodes,
  sharedVerdictAnswers,
  sharedVerdictClaims,
  sharedVerdicts,
  sharingStops,
} from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import type { Page, PageInput } from "../page.ts";
import { notFound } from "../refusal.ts";
import { delegations } from "./delegations.ts";

export async function showImmunity({ ctx }: { ctx: Ctx }): Promise<ImmunityStatus> {
  authorise(ctx, "immunity.show");
  const [stop] = await ctx.db.select().from(sharingStops).where(isNull(sharingStops.releasedAt)).limit(1);
  const states = await ctx.db
    .select({ state: sharedVerdicts.state, count: count() })
    .from(sharedVerdicts)
    .groupBy(sharedVerdicts.state);
  return {
    keyid: ctx.config.sharingKey ? publicKeyOf(ctx.config.sharingKey).keyid : null,
    delegations: await delegations(ctx),
    stopped: stop ? { at: stop.at.toISOString(), by: stop.by, reason: stop.reason } : null,
    verdicts: Object.fromEntries(states.map(row => [row.state, row.count])),
  };
}

export async function listSharedVerdicts({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput & { state?: SharedVerdictRow["state"] | undefined };
}): Promise<Page<SharedVerdictRow>> {
  authorise(ctx, "immunity.list");
  const { limit, cursor, state } = input;
  const rows = await ctx.db
    .select()
    .from(sharedVerdicts)
    .where(
      and(
        state && eq(sharedVerdicts.state, state),
        cursor === undefined ? undefined : lt(sharedVerdicts.place, cursor),
      ),
    )
    .orderBy(desc(sharedVerdicts.place))
    .limit(limit + 1);
  const shown = rows.slice(0, limit);
  const items = await described(ctx, shown);
  const more = rows.length > limit;
  return { items, nextCursor: more ? String(shown.at(-1)!.place) : null };
}

export async function showAnswers({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string };
}): Promise<SharedVerdictRow & { nodes: VerdictAnswerRow[] }> {
  authorise(ctx, "immunity.answers");
  const id = input.id as SharedVerdictId;
  const rows = await ctx.db.select().from(sharedVerdicts).where(eq(sharedVerdicts.id, id));
  const [row] = await described(ctx, rows);
  if (!row) throw notFound(`shared verdict ${id}`);
  const answers = await ctx.db
    .select({
      node: nodes.id,
      hostname: nodes.hostname,
      because: sharedVerdictAnswers.because,
      at: sharedVerdictAnswers.at,
    })
    .from(sharedVerdictAnswers)
    .innerJoin(nodes, eq(nodes.id, sharedVerdictAnswers.node))
    .where(eq(sharedVerdictAnswers.verdict, id))
    .orderBy(asc(sharedVerdictAnswers.at))
    .limit(1_000);
  return { ...row, nodes: answers.map(each => ({ ...each, at: each.at.toISOString() })) };
}

async function described(
  ctx: Ctx,
  rows: readonly (typeof sharedVerdicts.$inferSelect)[],
): Promise<SharedVerdictRow[]> {
  if (rows.length === 0) return [];
  const ids = sql.param(rows.map(({ id }) => id));
  const counted = await ctx.db.execute<{
    id: string;
    claims: number;
    believed: number;
    refused: Record<string, number> | null;
  }>(sql`
    select id,
      (select count(*)::int from ${sharedVerdictClaims} as claim where claim.verdict = id) as claims,
      (select count(*)::int from ${sharedVerdictAnswers} as answer
        where answer.verdict = id and because is null) as believed,
      (select jsonb_object_agg(because, nodes) from (
        select because, count(*)::int as nodes from ${sharedVerdictAnswers} as answer
        where answer.verdict = id and because is not null group by because) as by_reason) as refused
    from unnest(${ids}::uuid[]) as asked (id)`);
  const counts = new Map(counted.rows.map(row => [row.id, row]));
  const time = (at: Date | null) => at?.toISOString() ?? null;
  return rows.map(row => ({
    id: row.id,
    state: row.state,
    shape: row.shape,
    dialect: row.dialect,
    text: row.text,
    rule: row.rule,
    ruleSet: row.ruleSet,
    version: row.version,
    source: row.source,
    judgedAt: row.judgedAt.toISOString(),
    claimedAt: row.claimedAt.toISOString(),
    issuedAt: time(row.issuedAt),
    expiresAt: time(row.expiresAt),
    endedAt: time(row.endedAt),
    endedBy: row.endedBy,
    because: row.because,
    claims: counts.get(row.id)?.claims ?? 0,
    believed: counts.get(row.id)?.believed ?? 0,
    refused: counts.get(row.id)?.refused ?? {},
  }));
}
