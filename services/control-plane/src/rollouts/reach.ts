/** Carries a decision to nodes: who a step reaches, what they run, and from which loss count their soak begins. */
import type { RuleVersion } from "@picket/shared/ids";
import { and, eq, inArray, isNotNull, isNull, lte, sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { nodes, rolloutNodes, type rollouts, ruleVersions } from "../db/schema.ts";
import { assign, type NodeAssignment, type Target } from "./assign.ts";

export type RolloutRow = typeof rollouts.$inferSelect;

/** In 1/10,000 of a node's processes. */
const shareOf = (percent: number): number => Math.round(percent * 100);

/** Marks the nodes that the current step takes as reached. A joiner's count of lost events begins here, too. */
export async function reachNew(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<void> {
  await tx
    .update(rolloutNodes)
    .set({ reachedAt: now(ctx), lostAtStepStart: sql`${nodes.eventsLost}` })
    .from(nodes)
    .where(
      and(
        eq(rolloutNodes.rollout, rollout.id),
        eq(rolloutNodes.node, nodes.id),
        lte(rolloutNodes.step, rollout.step),
        isNull(rolloutNodes.reachedAt),
      ),
    );
}

/** A step that begins counts lost events anew for every node of it, those of earlier steps included. */
export async function beginStep(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<void> {
  await reachNew(ctx, tx, rollout);
  await tx
    .update(rolloutNodes)
    .set({ lostAtStepStart: sql`${nodes.eventsLost}` })
    .from(nodes)
    .where(
      and(
        eq(rolloutNodes.rollout, rollout.id),
        eq(rolloutNodes.node, nodes.id),
        isNotNull(rolloutNodes.reachedAt),
      ),
    );
}

/** What every reached node should run while the rollout is at its step. */
export async function assignStep(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<NodeAssignment[]> {
  const step = rollout.steps[rollout.step]!;
  return assignReached(ctx, tx, rollout, { share: shareOf(step.share), scope: step.scope });
}

/** A complete rollout's version judges every process, whatever its last step's share was. */
export async function assignComplete(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<NodeAssignment[]> {
  return assignReached(ctx, tx, rollout, { share: 10_000, scope: "all" });
}

async function assignReached(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  { share, scope }: { share: number; scope: "all" | "new-processes" },
): Promise<NodeAssignment[]> {
  const targets = (await reached(tx, rollout)).map(({ node }) => ({
    node,
    version: rollout.version,
    bundle: rollout.bundle,
    share,
  }));
  return assign(ctx, tx, { ruleSet: rollout.ruleSet, rollout: rollout.id, scope, targets });
}

/**
 * Back to what was stable for each node. Where that is nothing, the node keeps the version loaded and gives it no
 * process: an assignment cannot say "nothing", and share 0 judges none.
 */
export async function assignPrevious(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<NodeAssignment[]> {
  const rows = await reached(tx, rollout);
  const versions = [...new Set(rows.flatMap(({ previous }) => (previous === null ? [] : [previous])))];
  const bundles = await bundlesOf(tx, rollout, versions);
  const targets = rows.map(
    ({ node, previous }): Target =>
      previous === null
        ? { node, version: rollout.version, bundle: rollout.bundle, share: 0 }
        : { node, version: previous, bundle: bundles.get(previous)!, share: 10_000 },
  );
  return assign(ctx, tx, { ruleSet: rollout.ruleSet, rollout: rollout.id, scope: "all", targets });
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
