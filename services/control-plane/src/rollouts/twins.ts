/**
 * What twins find. A node tells totals since the twin began in its agent (the epoch), so a report that comes twice
 * counts once; what runs before it said is added. Shown is the sum over all nodes, one line for each shape and kind.
 */
import type { TwinFindings } from "@picket/shared/api";
import type { RolloutId } from "@picket/shared/ids";
import { TWIN_DIFFERENCES_MAX, type TwinDifference, type TwinReport } from "@picket/shared/twin";
import { and, eq, isNotNull, sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { rolloutNodes, rollouts, twinReports } from "../db/schema.ts";
import type { TwinTotals } from "../db/totals.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

/** A late word of a twin that is over is taken; one of what this node was never told to run is nobody's. */
export async function recordTwin({ ctx, input }: { ctx: Ctx; input: TwinReport }): Promise<void> {
  authorise(ctx, "agent.twin");
  const node = theNode(ctx);
  const { rollout, epoch } = input;
  if (rollout === null) return;
  await ctx.db.transaction(async tx => {
    const [told] = await tx
      .select({ node: rolloutNodes.node })
      .from(rolloutNodes)
      .innerJoin(rollouts, eq(rolloutNodes.rollout, rollouts.id))
      .where(
        and(
          eq(rolloutNodes.rollout, rollout),
          eq(rolloutNodes.node, node),
          isNotNull(rolloutNodes.reachedAt),
          eq(rollouts.mode, "twin"),
          eq(rollouts.ruleSet, input.ruleSet),
          eq(rollouts.version, input.version),
        ),
      )
      // One report of a node at a time.
      .for("update", { of: rolloutNodes });
    if (!told) return;
    const [known] = await tx
      .select()
      .from(twinReports)
      .where(and(eq(twinReports.rollout, rollout), eq(twinReports.node, node)));
    const row = { rollout, node, epoch, said: input, before: beforeOf(known, input), at: now(ctx) };
    // Reordered on its way: a total only grows.
    if (known?.epoch === epoch && known.said.statements > input.statements) return;
    await tx
      .insert(twinReports)
      .values(row)
      .onConflictDoUpdate({ target: [twinReports.rollout, twinReports.node], set: row });
  });
}

function beforeOf(
  known: typeof twinReports.$inferSelect | undefined,
  { epoch }: TwinReport,
): TwinTotals | null {
  if (!known) return null;
  return known.epoch === epoch
    ? known.before
    : addTwins([known.said, ...(known.before ? [known.before] : [])]);
}

/** Pure. */
export function addTwins(all: readonly TwinTotals[]): TwinTotals {
  const sum = (of: (totals: TwinTotals) => number) => all.reduce((total, each) => total + of(each), 0);
  const named = new Map<string, TwinDifference>();
  for (const difference of all.flatMap(({ differences }) => differences)) {
    const known = named.get(nameOf(difference));
    if (known) known.count += difference.count;
    else named.set(nameOf(difference), { ...difference });
  }
  const differences = [...named.values()].toSorted((a, b) => b.count - a.count);
  return {
    statements: sum(({ statements }) => statements),
    compared: sum(({ compared }) => compared),
    wouldBlock: sum(({ wouldBlock }) => wouldBlock),
    wouldPass: sum(({ wouldPass }) => wouldPass),
    otherwise: sum(({ otherwise }) => otherwise),
    differences: differences.slice(0, TWIN_DIFFERENCES_MAX),
    unlisted: sum(({ unlisted }) => unlisted) + Math.max(0, differences.length - TWIN_DIFFERENCES_MAX),
  };
}

const nameOf = ({ kind, dialect, shape, sql, stable, candidate }: TwinDifference): string =>
  JSON.stringify([
    kind,
    dialect,
    shape ?? sql,
    stable.verdict,
    stable.action,
    candidate.verdict,
    candidate.action,
  ]);

/** Added up where the rows are: a fleet's reports would not fit in memory. */
const told = (rollout: RolloutId) => sql`(
  select node, said as totals from ${twinReports} where rollout = ${rollout}
  union all
  select node, before from ${twinReports} where rollout = ${rollout} and before is not null) as told`;

type Figures = Omit<TwinFindings, "differences">;

export async function twinFigures(db: Tx | Ctx["db"], rollout: RolloutId): Promise<Figures> {
  const figure = (name: keyof Figures) =>
    sql.raw(`coalesce(sum((totals->>'${name}')::bigint), 0)::float8 as "${name}"`);
  const { rows } = await db.execute<Figures>(sql`
    select count(distinct node)::int as nodes, ${figure("statements")}, ${figure("compared")},
      ${figure("wouldBlock")}, ${figure("wouldPass")}, ${figure("otherwise")}, ${figure("unlisted")}
    from ${told(rollout)}`);
  return rows[0]!;
}

export async function twinFindings(db: Tx | Ctx["db"], rollout: RolloutId): Promise<TwinFindings> {
  const figures = await twinFigures(db, rollout);
  const { rows } = await db.execute<{
    difference: TwinDifference;
    count: number;
    nodes: number;
    all: number;
  }>(sql`
    select (array_agg(d))[1] as difference, sum((d->>'count')::bigint)::float8 as count,
      count(distinct node)::int as nodes, (count(*) over ())::int as "all"
    from ${told(rollout)}, lateral json_array_elements(totals->'differences') as each (d)
    group by d->>'kind', d->>'dialect', coalesce(d->>'shape', d->>'sql'), d->'stable'->>'verdict',
      d->'stable'->>'action', d->'candidate'->>'verdict', d->'candidate'->>'action'
    order by array_position(array['would-block', 'would-pass', 'otherwise'], d->>'kind'), count desc
    limit ${TWIN_DIFFERENCES_MAX}`);
  return {
    ...figures,
    differences: rows.map(({ difference, count, nodes }) => ({ ...difference, count, nodes })),
    unlisted: figures.unlisted + Math.max(0, (rows[0]?.all ?? 0) - rows.length),
  };
}
