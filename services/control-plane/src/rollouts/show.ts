/** Rollouts as people see them. */
import type { GateDecision, Rollout, RolloutDetails, RolloutNode } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { RolloutId } from "@picket/shared/ids";
import { and, asc, desc, eq, inArray, isNull, lt, max, ne, type SQL, sql } from "drizzle-orm";
import { newestBacktest } from "../backtests/show.ts";
import type { Ctx } from "../context.ts";
import { assignments, nodes, rolloutDecisions, rolloutNodes, rollouts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { inScope } from "../identity/scope.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";
import { type Decision, refusalOf } from "./core.ts";
import { installedOf } from "./evidence.ts";
import type { RolloutRow } from "./reach.ts";
import { twinFindings } from "./twins.ts";

/** A page and a terminal show no more; the figures are of all. */
const NODES_SHOWN_MAX = 500;

/** Newest first. */
export async function listRollouts({ ctx, input }: { ctx: Ctx; input: PageInput }): Promise<Page<Rollout>> {
  authorise(ctx, "rollouts.list");
  const rows = await ctx.db
    .select()
    .from(rollouts)
    .where(
      and(
        inScope(ctx, rollouts.selector),
        input.cursor === undefined ? undefined : lt(rollouts.sequence, input.cursor),
      ),
    )
    .orderBy(desc(rollouts.sequence))
    .limit(input.limit + 1);
  const counts = await countNodes(ctx, await withNodes(ctx, rows));
  const decisions = await lastDecisions(ctx, rows);
  return pageOf(
    rows,
    input,
    row => row.sequence,
    row => {
      const steps = counts.get(row.id);
      return { ...summary(row, decisions.get(row.id) ?? null), nodes: steps ? together(steps) : null };
    },
  );
}

export async function showRollout({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string };
}): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.show");
  const id = input.id as RolloutId;
  // First the decisions, so that what the last one asks of a person stands in the row, which is read after it.
  const decisions = await ctx.db
    .select(decisionColumns)
    .from(rolloutDecisions)
    .where(eq(rolloutDecisions.rollout, id))
    .orderBy(asc(rolloutDecisions.id));
  const [row] = await ctx.db.select().from(rollouts).where(eq(rollouts.id, id));
  if (!row) throw notFound(`rollout ${id}`);
  const nodesByStep = (await countNodes(ctx, [row])).get(row.id)!;
  const shown = decisions.map(showDecision);
  return {
    ...summary(row, shown.at(-1) ?? null),
    nodes: together(nodesByStep),
    nodesByStep,
    nodesPlanned: await someNodes(ctx, row.id),
    decisions: shown,
    backtest: await newestBacktest(ctx.db, row),
    twin: row.mode === "twin" ? await twinFindings(ctx.db, row.id) : null,
  };
}

function summary(row: RolloutRow, lastDecision: GateDecision | null): Omit<Rollout, "nodes"> {
  return {
    id: row.id,
    ruleSet: row.ruleSet,
    version: row.version,
    previous: row.previous,
    selector: row.selector,
    steps: row.steps,
    state: row.state,
    step: row.step,
    stepStartedAt: row.stepStartedAt.toISOString(),
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    finishedAt: row.finishedAt?.toISOString() ?? null,
    lastDecision,
    mode: row.mode,
    domains: row.domains,
    settle: row.settle,
    gate: row.gate,
    startAt: row.startAt?.toISOString() ?? null,
    asks:
      row.asks === null ? null : { step: row.state === "scheduled" ? 0 : row.step + 1, because: row.asks },
  };
}

/** Without its evidence, which is large. */
const decisionColumns = {
  id: rolloutDecisions.id,
  rollout: rolloutDecisions.rollout,
  at: rolloutDecisions.at,
  step: rolloutDecisions.step,
  kind: rolloutDecisions.kind,
  because: rolloutDecisions.because,
  signals: rolloutDecisions.signals,
};

export const showDecision = (
  row: Pick<typeof rolloutDecisions.$inferSelect, keyof typeof decisionColumns>,
): GateDecision => ({
  id: row.id,
  at: row.at.toISOString(),
  step: row.step,
  kind: row.kind,
  because: row.because,
  signals: row.signals,
});

export function decisionKind(decision: Decision): "advance" | "wait" | "roll-back" {
  switch (decision.kind) {
    case "advance":
    case "complete":
      return "advance";
    case "wait":
      return "wait";
    case "roll-back":
    case "rolled-back":
      return "roll-back";
  }
}

/** As progressOf says of each (core.ts), for figures and for an order: a fleet's rows would not fit in memory. */
const entry = sql<Installed | null>`said.entry`;
/** `offset 0`: looked for once a node, however often it is named. */
const said = sql`(select ${installedOf(rollouts.ruleSet)} as entry offset 0) as said`;
const state = sql<RolloutNode["state"]>`case
  when ${rolloutNodes.reachedAt} is null or ${assignments.generation} is null then 'planned'
  when (${entry} ->> 'generation')::int >= ${assignments.generation}
      and coalesce(${entry} ->> 'refused', ${entry} ->> 'version')::int = ${assignments.version}
    then case ${entry} ->> 'kind' when 'active' then 'installed' else 'refused' end
  when ${assignments.acknowledgedAt} is null then 'assigned'
  else 'delivered' end`;

type NodeCounts = RolloutDetails["nodes"];

const NONE: NodeCounts = { planned: 0, reached: 0, installed: 0, refused: 0 };

/** Those whose nodes no later rollout of the rule set has given something else. */
async function withNodes(ctx: Ctx, rows: readonly RolloutRow[]): Promise<RolloutRow[]> {
  const last = await ctx.db
    .select({ ruleSet: rollouts.ruleSet, sequence: max(rollouts.sequence) })
    .from(rollouts)
    .where(ne(rollouts.state, "scheduled"))
    .groupBy(rollouts.ruleSet);
  return rows.filter(({ ruleSet, sequence }) =>
    last.every(begun => begun.ruleSet !== ruleSet || begun.sequence === null || begun.sequence <= sequence),
  );
}

/** By rollout, and in it by step. */
async function countNodes(ctx: Ctx, rows: readonly RolloutRow[]): Promise<Map<RolloutId, NodeCounts[]>> {
  if (rows.length === 0) return new Map();
  const states = ctx.db
    .select({ rollout: rolloutNodes.rollout, step: rolloutNodes.step, state: state.as("state") })
    .from(rolloutNodes)
    .innerJoin(rollouts, eq(rolloutNodes.rollout, rollouts.id))
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .leftJoin(assignments, ofTheNode)
    .crossJoinLateral(said)
    .where(
      and(
        inArray(
          rolloutNodes.rollout,
          rows.map(({ id }) => id),
        ),
        isNull(nodes.retiredAt),
      ),
    )
    .as("states");
  const having = (which: SQL) => sql<number>`(count(*) filter (where ${which}))::int`;
  const counted = await ctx.db
    .select({
      rollout: states.rollout,
      step: states.step,
      planned: sql<number>`count(*)::int`,
      reached: having(sql`${states.state} <> 'planned'`),
      installed: having(sql`${states.state} = 'installed'`),
      refused: having(sql`${states.state} = 'refused'`),
    })
    .from(states)
    .groupBy(states.rollout, states.step);
  const counts = new Map(rows.map(({ id, steps }) => [id, steps.map(() => NONE)]));
  for (const { rollout, step, ...some } of counted) counts.get(rollout)![step] = some;
  return counts;
}

const together = (steps: readonly NodeCounts[]): NodeCounts =>
  steps.reduce(
    (sum, each) => ({
      planned: sum.planned + each.planned,
      reached: sum.reached + each.reached,
      installed: sum.installed + each.installed,
      refused: sum.refused + each.refused,
    }),
    NONE,
  );

const ofTheNode = and(eq(assignments.node, rolloutNodes.node), eq(assignments.ruleSet, rollouts.ruleSet));

/** Those that refused, those that have not installed what they were told, and then the others, as they are reached. */
async function someNodes(ctx: Ctx, rollout: RolloutId): Promise<RolloutNode[]> {
  const rows = await ctx.db
    .select({
      node: rolloutNodes.node,
      hostname: nodes.hostname,
      bucket: rolloutNodes.bucket,
      step: rolloutNodes.step,
      previous: rolloutNodes.previous,
      state,
      installed: entry,
    })
    .from(rolloutNodes)
    .innerJoin(rollouts, eq(rolloutNodes.rollout, rollouts.id))
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .leftJoin(assignments, ofTheNode)
    .crossJoinLateral(said)
    .where(and(eq(rolloutNodes.rollout, rollout), isNull(nodes.retiredAt)))
    .orderBy(
      sql`array_position(array['refused', 'assigned', 'delivered'], ${state})`,
      asc(rolloutNodes.step),
      asc(rolloutNodes.bucket),
      asc(nodes.hostname),
    )
    .limit(NODES_SHOWN_MAX);
  return rows.map(({ installed, ...row }) => ({
    ...row,
    detail: row.state === "refused" && installed?.kind === "kept-last-good" ? refusalOf(installed) : null,
  }));
}

async function lastDecisions(ctx: Ctx, rows: readonly RolloutRow[]): Promise<Map<RolloutId, GateDecision>> {
  if (rows.length === 0) return new Map();
  const last = await ctx.db
    .selectDistinctOn([rolloutDecisions.rollout], decisionColumns)
    .from(rolloutDecisions)
    .where(
      inArray(
        rolloutDecisions.rollout,
        rows.map(({ id }) => id),
      ),
    )
    .orderBy(rolloutDecisions.rollout, sql`${rolloutDecisions.id} desc`);
  return new Map(last.map(row => [row.rollout, showDecision(row)]));
}
