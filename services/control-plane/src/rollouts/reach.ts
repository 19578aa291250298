/** Carries a decision to nodes: who is told, what they run, and from where their soak is counted. */
import type { NodeId, RuleVersion } from "@picket/shared/ids";
import { and, eq, inArray, isNotNull, isNull, sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { among } from "../db/among.ts";
import type { Tx } from "../db/client.ts";
import { nodes, rolloutNodes, type rollouts, ruleVersions } from "../db/schema.ts";
import { assign, type NodeAssignment, type Target } from "./assign.ts";

export type RolloutRow = typeof rollouts.$inferSelect;

const ROWS_AT_ONCE = 5_000;

/** In 1/10,000 of a node's processes. */
const shareOf = (percent: number): number => Math.round(percent * 100);

/**
 * Tells these nodes of the current step what to run. What each lost is counted from here on, and what it does is
 * compared anew once it has installed: until now it was one of the control nodes.
 */
export async function tell(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  told: readonly NodeId[],
): Promise<NodeAssignment[]> {
  const assigned: NodeAssignment[] = [];
  for (let from = 0; from < told.length; from += ROWS_AT_ONCE) {
    const some = told.slice(from, from + ROWS_AT_ONCE);
    await tx
      .update(rolloutNodes)
      .set({ reachedAt: now(ctx), lostAtStepStart: sql`${nodes.eventsLost}`, watch: null })
      .from(nodes)
      .where(
        and(
          eq(rolloutNodes.rollout, rollout.id),
          eq(rolloutNodes.node, nodes.id),
          among(rolloutNodes.node, some),
          isNull(rolloutNodes.reachedAt),
        ),
      );
    assigned.push(...(await assignTo(ctx, tx, rollout, some)));
  }
  return assigned;
}

/**
 * A step that begins counts lost events anew and compares anew, for every node of it, those of earlier steps
 * included: they run what the step asks (its share and scope). Nobody new is told here.
 */
export async function beginStep(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<NodeAssignment[]> {
  await tx
    .update(rolloutNodes)
    .set({ lostAtStepStart: sql`${nodes.eventsLost}`, watch: null, installedAt: null })
    .from(nodes)
    .where(and(eq(rolloutNodes.rollout, rollout.id), eq(rolloutNodes.node, nodes.id)));
  const told = await reached(tx, rollout);
  return assignTo(
    ctx,
    tx,
    rollout,
    told.map(({ node }) => node),
  );
}

async function assignTo(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  told: readonly NodeId[],
): Promise<NodeAssignment[]> {
  const step = rollout.steps[rollout.step]!;
  const besides = rollout.mode === "twin" ? await stablesOf(tx, rollout, told) : null;
  return assign(ctx, tx, {
    ruleSet: rollout.ruleSet,
    rollout: rollout.id,
    scope: step.scope,
    mode: rollout.mode,
    targets: told.map(node => ({
      node,
      version: rollout.version,
      bundle: rollout.bundle,
      share: shareOf(step.share),
      ...(besides && { beside: besides.get(node) ?? null }),
    })),
  });
}

/** What is stable for each of these nodes: a twin's assignment is the only one of its rule set, so it says that, too. */
async function stablesOf(
  tx: Tx,
  rollout: RolloutRow,
  told: readonly NodeId[],
): Promise<Map<NodeId, NonNullable<Target["beside"]>>> {
  const stables = new Map<NodeId, NonNullable<Target["beside"]>>();
  for (let from = 0; from < told.length; from += ROWS_AT_ONCE) {
    const rows = await tx
      .select({ node: rolloutNodes.node, version: ruleVersions.version, bundle: ruleVersions.bundle })
      .from(rolloutNodes)
      .innerJoin(
        ruleVersions,
        and(eq(ruleVersions.ruleSet, rollout.ruleSet), eq(ruleVersions.version, rolloutNodes.previous)),
      )
      .where(
        and(
          eq(rolloutNodes.rollout, rollout.id),
          among(rolloutNodes.node, told.slice(from, from + ROWS_AT_ONCE)),
        ),
      );
    for (const { node, version, bundle } of rows) stables.set(node, { version, bundle });
  }
  return stables;
}

/**
 * A complete rollout's version judges every process, whatever its last step's share was, and nodes that were away
 * find it when they are back. A twin has shown what it had to show: its nodes return to what is stable.
 */
export async function assignComplete(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<NodeAssignment[]> {
  if (rollout.mode === "twin") return assignPrevious(ctx, tx, rollout);
  await tx
    .update(rolloutNodes)
    .set({ reachedAt: now(ctx), lostAtStepStart: sql`${nodes.eventsLost}` })
    .from(nodes)
    .where(
      and(
        eq(rolloutNodes.rollout, rollout.id),
        eq(rolloutNodes.node, nodes.id),
        isNull(rolloutNodes.reachedAt),
      ),
    );
  const targets = (await reached(tx, rollout)).map(({ node }) => ({
    node,
    version: rollout.version,
    bundle: rollout.bundle,
    share: 10_000,
  }));
  return assign(ctx, tx, {
    ruleSet: rollout.ruleSet,
    rollout: rollout.id,
    scope: "all",
    mode: "enforce",
    targets,
  });
}

/**
 * Back to what was stable for each node, or to the version that was asked for. Where that is nothing, the node keeps
 * the version loaded and gives it no process: an assignment cannot say "nothing", and share 0 judges none.
 */
export async function assignPrevious(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  only?: readonly NodeId[],
): Promise<NodeAssignment[]> {
  const rows = (await reached(tx, rollout)).filter(({ node }) => only === undefined || only.includes(node));
  const wanted = rows.map(({ node, previous }) => ({ node, version: rollout.rollBackTo ?? previous }));
  const versions = [...new Set(wanted.flatMap(({ version }) => (version === null ? [] : [version])))];
  const bundles = await bundlesOf(tx, rollout, versions);
  const targets = wanted.map(
    ({ node, version }): Target =>
      version === null
        ? { node, version: rollout.version, bundle: rollout.bundle, share: 0 }
        : { node, version, bundle: bundles.get(version)!, share: 10_000 },
  );
  return assign(ctx, tx, {
    ruleSet: rollout.ruleSet,
    rollout: rollout.id,
    scope: "all",
    mode: "enforce",
    targets,
  });
}

async function bundlesOf(tx: Tx, rollout: RolloutRow, versions: RuleVersion[]) {
  if (versions.length === 0) return new Map<RuleVersion, RolloutRow["bundle"]>();
  const rows = await tx
    .select({ version: ruleVersions.version, bundle: ruleVersions.bundle })
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, rollout.ruleSet), inArray(ruleVersions.version, versions)));
  return new Map(rows.map(({ version, bundle }) => [version, bundle]));
}

function reached(tx: Tx, rollout: RolloutRow) {
  return tx
    .select({ node: rolloutNodes.node, previous: rolloutNodes.previous })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .where(
      and(eq(rolloutNodes.rollout, rollout.id), isNotNull(rolloutNodes.reachedAt), isNull(nodes.retiredAt)),
    );
}
