/** A scheduled rollout begins when its time has come, what is ahead of it has ended, and nothing holds the fleet. */
import type { RolloutId, RuleVersion } from "@picket/shared/ids";
import { and, desc, eq, inArray, lt, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { nodes, rolloutNodes, rollouts } from "../db/schema.ts";
import { stableFor } from "./cohort.ts";
import { type Decision, notYet } from "./core.ts";
import { readHolds } from "./holds.ts";
import { ACTIVE } from "./nudge.ts";
import type { RolloutRow } from "./reach.ts";
import { completeRollouts } from "./stable.ts";

/** `decision` null: it runs now, at its first step. `justPlanned`: in the transaction that made the plan. */
export async function begin(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  { justPlanned = false } = {},
): Promise<{ rollout: RolloutRow; decision: Decision | null }> {
  // Two that begin at once would both see nobody ahead.
  await tx.execute(sql`select pg_advisory_xact_lock(7400002, hashtext(${rollout.ruleSet}))`);
  const decision = notYet({
    startAtMs: rollout.startAt?.getTime() ?? null,
    nowMs: ctx.clock(),
    holds: await readHolds(ctx, tx),
    ahead: await aheadOf(tx, rollout),
    requireApproval: rollout.steps[0]!.requireApproval ?? false,
    predecessorFailed: await failedBefore(tx, rollout),
    approvedStep: rollout.approvedStep,
  });
  const update = async (values: Partial<RolloutRow>): Promise<RolloutRow> =>
    (await tx.update(rollouts).set(values).where(eq(rollouts.id, rollout.id)).returning())[0]!;
  if (decision !== null) {
    const asks = decision.asks ?? null;
    return { rollout: asks === rollout.asks ? rollout : await update({ asks }), decision };
  }
  const previous = justPlanned ? rollout.previous : await refreshPrevious(tx, rollout);
  const begun = await update({ state: "running", stepStartedAt: now(ctx), asks: null, previous });
  await record(ctx, tx, { verb: "begin", subject: `rollout:${rollout.id}`, detail: { step: 0 } });
  return { rollout: begun, decision: null };
}

/** An active rollout of the rule set, or one that was scheduled earlier and has no later time. */
async function aheadOf(tx: Tx, rollout: RolloutRow): Promise<RolloutId | null> {
  const [active] = await tx
    .select({ id: rollouts.id })
    .from(rollouts)
    .where(and(eq(rollouts.ruleSet, rollout.ruleSet), inArray(rollouts.state, [...ACTIVE])))
    .limit(1);
  if (active) return active.id;
  const [queued] = await tx
    .select({ id: rollouts.id })
    .from(rollouts)
    .where(
      and(
        eq(rollouts.ruleSet, rollout.ruleSet),
        eq(rollouts.state, "scheduled"),
        lt(rollouts.sequence, rollout.sequence),
        sql`coalesce(${rollouts.startAt}, '-infinity') <= ${rollout.startAt?.toISOString() ?? "-infinity"}::timestamptz`,
      ),
    )
    .limit(1);
  return queued?.id ?? null;
}

/** What came before in the queue and ended otherwise than complete, since this one was asked for. */
async function failedBefore(tx: Tx, rollout: RolloutRow): Promise<RolloutId | null> {
  const [before] = await tx
    .select({ id: rollouts.id, state: rollouts.state, finishedAt: rollouts.finishedAt })
    .from(rollouts)
    .where(and(eq(rollouts.ruleSet, rollout.ruleSet), lt(rollouts.sequence, rollout.sequence)))
    .orderBy(desc(rollouts.sequence))
    .limit(1);
  if (!before || before.state === "complete") return null;
  return before.finishedAt !== null && before.finishedAt >= rollout.createdAt ? before.id : null;
}

/** What is stable may have changed since the plan was made; what a roll back returns to is what is stable now. */
async function refreshPrevious(tx: Tx, rollout: RolloutRow): Promise<RuleVersion | null> {
  const complete = await completeRollouts(tx, rollout.ruleSet);
  const planned = await tx
    .select({ node: rolloutNodes.node, labels: nodes.labels })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .where(eq(rolloutNodes.rollout, rollout.id));
  const byVersion = new Map<RuleVersion | null, (typeof planned)[number]["node"][]>();
  for (const { node, labels } of planned) {
    const version = stableFor(labels, complete)?.version ?? null;
    const same = byVersion.get(version);
    if (same) same.push(node);
    else byVersion.set(version, [node]);
  }
  for (const [previous, some] of byVersion)
    for (let from = 0; from < some.length; from += 5_000)
      await tx
        .update(rolloutNodes)
        .set({ previous })
        .where(
          and(
            eq(rolloutNodes.rollout, rollout.id),
            inArray(rolloutNodes.node, some.slice(from, from + 5_000)),
          ),
        );
  return [...byVersion].sort((a, b) => b[1].length - a[1].length)[0]?.[0] ?? null;
}
