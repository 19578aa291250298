/**
 * One pass over one rollout: read the rows, decide (core.ts), write. It may run at any time, twice, or by a sweep
 * after its nudge was lost; the rollout's row is locked, so passes follow one another.
 */
import type { RolloutId } from "@picket/shared/ids";
import { durationMs } from "@picket/shared/vocabulary";
import { desc, eq } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { rolloutDecisions, rollouts } from "../db/schema.ts";
import type { NodeAssignment } from "./assign.ts";
import { type Decision, gate } from "./core.ts";
import { readEvidence } from "./evidence.ts";
import { planJoiners } from "./join.ts";
import { assignComplete, assignStep, beginStep, type RolloutRow, reachNew } from "./reach.ts";

export async function reconcileRollout({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { rollout: RolloutId };
}): Promise<Decision | null> {
  const done = await ctx.db.transaction(async tx => {
    const [rollout] = await tx.select().from(rollouts).where(eq(rollouts.id, input.rollout)).for("update");
    if (!rollout) return null;
    switch (rollout.state) {
      case "running":
      case "rolling-back":
        return pass(ctx, tx, rollout, rollout.state);
      case "paused":
      case "complete":
      case "aborted":
      case "rolled-back":
        return null;
    }
  });
  if (!done) return null;
  await ctx.inbox.offer(done.assigned);
  remind(ctx, done.rollout, done.decision);
  return done.decision;
}

async function pass(ctx: Ctx, tx: Tx, rollout: RolloutRow, state: "running" | "rolling-back") {
  const assigned: NodeAssignment[] = [];
  if (state === "running" && (await planJoiners(ctx, tx, rollout))) {
    await reachNew(ctx, tx, rollout);
    assigned.push(...(await assignStep(ctx, tx, rollout)));
  }
  const step = rollout.steps[rollout.step]!;
  const decision = gate({
    state,
    step: rollout.step,
    stepsTotal: rollout.steps.length,
    soakMs: durationMs(step.soak),
    stepAgeMs: ctx.clock() - rollout.stepStartedAt.getTime(),
    lostEventsMax: rollout.lostEventsMax,
    staleMs: ctx.config.nodeSilentMs,
    nodes: await readEvidence(ctx, tx, rollout),
  });
  const next = await carryOut(ctx, tx, rollout, decision);
  assigned.push(...next.assigned);
  await remember(ctx, tx, rollout, decision);
  return { rollout: next.rollout, decision, assigned };
}

async function carryOut(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  decision: Decision,
): Promise<{ rollout: RolloutRow; assigned: NodeAssignment[] }> {
  const update = async (values: Partial<RolloutRow>): Promise<RolloutRow> =>
    (await tx.update(rollouts).set(values).where(eq(rollouts.id, rollout.id)).returning())[0]!;
  const audit = (verb: string) =>
    record(ctx, tx, { verb, subject: `rollout:${rollout.id}`, detail: { because: decision.because } });
  switch (decision.kind) {
    case "wait":
      return { rollout, assigned: [] };
    case "advance": {
      const next = await update({ step: decision.to, stepStartedAt: now(ctx) });
      await beginStep(ctx, tx, next);
      const assigned = await assignStep(ctx, tx, next);
      await audit("advance");
      return { rollout: next, assigned };
    }
    case "complete": {
      const next = await update({ state: "complete", finishedAt: now(ctx) });
      const assigned = await assignComplete(ctx, tx, next);
      await audit("complete");
      return { rollout: next, assigned };
    }
    case "rolled-back": {
      const next = await update({ state: "rolled-back", finishedAt: now(ctx) });
      await audit("finish-roll-back");
      return { rollout: next, assigned: [] };
    }
  }
}

/** A decision is stored when it says something new: a wait that is seen every second is one wait. */
async function remember(ctx: Ctx, tx: Tx, rollout: RolloutRow, decision: Decision): Promise<void> {
  const [last] = await tx
    .select({ step: rolloutDecisions.step, kind: rolloutDecisions.kind, because: rolloutDecisions.because })
    .from(rolloutDecisions)
    .where(eq(rolloutDecisions.rollout, rollout.id))
    .orderBy(desc(rolloutDecisions.id))
    .limit(1);
  const kind = kindOf(decision);
  if (last && last.step === rollout.step && last.kind === kind && last.because === decision.because) return;
  await tx
    .insert(rolloutDecisions)
    .values({ rollout: rollout.id, at: now(ctx), step: rollout.step, kind, because: decision.because });
}

function kindOf(decision: Decision): "advance" | "wait" | "roll-back" {
  switch (decision.kind) {
    case "advance":
    case "complete":
      return "advance";
    case "wait":
      return "wait";
    case "rolled-back":
      return "roll-back";
  }
}

/** The clock alone can end a soak: nobody else would nudge then. */
function remind(ctx: Ctx, rollout: RolloutRow, decision: Decision): void {
  if (rollout.state !== "running") return;
  const job = { kind: "reconcile-rollout", rollout: rollout.id } as const;
  if (decision.kind === "advance" || decision.because === "soaking") {
    const endsAt = rollout.stepStartedAt.getTime() + durationMs(rollout.steps[rollout.step]!.soak);
    ctx.jobs.nudge(job, { delayMs: Math.max(50, endsAt - ctx.clock() + 5), once: String(endsAt) });
  }
}
