/** Rollouts as people see them. */
import type { GateDecision, Rollout, RolloutDetails, RolloutNode } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { RolloutId, RuleVersion } from "@picket/shared/ids";
import { and, asc, desc, eq, inArray, isNull, lt, sql } from "drizzle-orm";
import { newestBacktest } from "../backtests/show.ts";
import type { Ctx } from "../context.ts";
import { assignments, nodes, rolloutDecisions, rolloutNodes, rollouts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { inScope } from "../identity/scope.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";
import { type Decision, progressOf } from "./core.ts";
import { installedOf } from "./evidence.ts";
import type { RolloutRow } from "./reach.ts";
import { twinFindings } from "./twins.ts";

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
  const planned = await plannedNodes(
    ctx,
    rows.map(({ id }) => id),
  );
  const decisions = await lastDecisions(ctx, rows);
  return pageOf(
    rows,
    input,
    row => row.sequence,
    row =>
      summary(row, tally(planned.filter(node => node.rollout === row.id)), decisions.get(row.id) ?? null),
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
  const [row] = await ctx.db
    .select()
    .from(rollouts)
    .where(eq(rollouts.id, input.id as RolloutId));
  if (!row) throw notFound(`rollout ${input.id}`);
  const planned = await plannedNodes(ctx, [row.id]);
  const decisions = await ctx.db
    .select(decisionColumns)
    .from(rolloutDecisions)
    .where(eq(rolloutDecisions.rollout, row.id))
    .orderBy(asc(rolloutDecisions.id));
  const shown = decisions.map(showDecision);
  return {
    ...summary(row, tally(planned), shown.at(-1) ?? null),
    nodesPlanned: planned.map(({ rollout: _, ...node }) => node),
    decisions: shown,
    backtest: await newestBacktest(ctx.db, row),
    twin: row.mode === "twin" ? await twinFindings(ctx.db, row.id) : null,
  };
}

type NodeCounts = Rollout["nodes"];

function summary(row: RolloutRow, nodes: NodeCounts, lastDecision: GateDecision | null): Rollout {
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
    nodes,
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

function tally(planned: readonly RolloutNode[]): NodeCounts {
  const having = (...states: RolloutNode["state"][]) =>
    planned.filter(({ state }) => states.includes(state)).length;
  return {
    planned: planned.length,
    reached: planned.length - having("planned"),
    installed: having("installed"),
    refused: having("refused"),
  };
}

function stateOf(row: {
  reachedAt: Date | null;
  generation: number | null;
  version: RuleVersion | null;
  acknowledgedAt: Date | null;
  installed: Installed | null;
}): Pick<RolloutNode, "state" | "detail"> {
  if (row.reachedAt === null || row.generation === null || row.version === null)
    return { state: "planned", detail: null };
  const progress = progressOf({
    target: { version: row.version, generation: row.generation },
    installed: row.installed,
  });
  switch (progress.kind) {
    case "installed":
      return { state: "installed", detail: null };
    case "refused":
      return { state: "refused", detail: progress.detail };
    case "pending":
      return { state: row.acknowledgedAt === null ? "assigned" : "delivered", detail: null };
  }
}

type PlannedNode = RolloutNode & { rollout: RolloutId };

async function plannedNodes(ctx: Ctx, ids: readonly RolloutId[]): Promise<PlannedNode[]> {
  if (ids.length === 0) return [];
  const rows = await ctx.db
    .select({
      rollout: rolloutNodes.rollout,
      node: rolloutNodes.node,
      hostname: nodes.hostname,
      bucket: rolloutNodes.bucket,
      step: rolloutNodes.step,
      previous: rolloutNodes.previous,
      reachedAt: rolloutNodes.reachedAt,
      generation: assignments.generation,
      version: assignments.version,
      acknowledgedAt: assignments.acknowledgedAt,
      installed: installedOf(rollouts.ruleSet),
    })
    .from(rolloutNodes)
    .innerJoin(rollouts, eq(rolloutNodes.rollout, rollouts.id))
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .leftJoin(
      assignments,
      and(eq(assignments.node, rolloutNodes.node), eq(assignments.ruleSet, rollouts.ruleSet)),
    )
    .where(and(inArray(rolloutNodes.rollout, [...ids]), isNull(nodes.retiredAt)))
    .orderBy(asc(rolloutNodes.bucket), asc(nodes.hostname));
  return rows.map(row => ({
    rollout: row.rollout,
    node: row.node,
    hostname: row.hostname,
    bucket: row.bucket,
    step: row.step,
    previous: row.previous,
    ...stateOf(row),
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
