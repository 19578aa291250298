/**
 * One pass over one rollout: read the rows, decide (core.ts), write. It may run at any time, twice, or by a sweep
 * after its nudge was lost; the rollout's row is locked, so passes follow one another.
 */
import type { SignalFinding } from "@picket/shared/api";
import type { NodeId, RolloutId } from "@picket/shared/ids";
import { durationMs } from "@picket/shared/vocabulary";
import { desc, eq } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { rolloutDecisions, rollouts } from "../db/schema.ts";
import type { NodeAssignment } from "./assign.ts";
import { begin } from "./begin.ts";
import { type Decision, type GateInput, NOT_YET, pass } from "./core.ts";
import { readDomainSizes, readReached, readSamples, readWaiting } from "./evidence.ts";
import { readHolds } from "./holds.ts";
import { planJoiners } from "./join.ts";
import { dropLeavers } from "./leave.ts";
import { assignComplete, assignPrevious, beginStep, type RolloutRow, tell } from "./reach.ts";
import { decisionKind } from "./show.ts";
import { twinFigures } from "./twins.ts";

interface Passed {
  rollout: RolloutRow;
  decision: Decision;
  assigned: NodeAssignment[];
  /** Watched from now on. */
  watched: NodeId[];
}

export async function reconcileRollout({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { rollout: RolloutId };
}): Promise<Decision | null> {
  const done = await ctx.db.transaction(async (tx): Promise<Passed | null> => {
    const [rollout] = await tx.select().from(rollouts).where(eq(rollouts.id, input.rollout)).for("update");
    if (!rollout) return null;
    switch (rollout.state) {
      case "scheduled": {
        const begun = await begin(ctx, tx, rollout);
        if (begun.decision) {
          await remember(ctx, tx, begun.rollout, begun.decision, null, null);
          return { rollout: begun.rollout, decision: begun.decision, assigned: [], watched: [] };
        }
        return step(ctx, tx, begun.rollout, "running");
      }
      case "running":
      case "rolling-back":
        return step(ctx, tx, rollout, rollout.state);
      case "paused":
      case "complete":
      case "aborted":
      case "rolled-back":
        return null;
    }
  });
  if (!done) return null;
  await ctx.inbox.offer(done.assigned);
  await ctx.inbox.askToReport(done.watched);
  remind(ctx, done.rollout, done.decision);
  // What is told or begins now may be followed by more at once, for example in a fleet of one.
  if (done.decision.kind !== "wait") ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: done.rollout.id });
  return done.decision;
}

/** Also the first pass of a rollout that was just begun. */
export async function step(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  state: "running" | "rolling-back",
): Promise<Passed> {
  const assigned: NodeAssignment[] = [];
  if (state === "running") {
    assigned.push(...(await dropLeavers(ctx, tx, rollout)));
    await planJoiners(ctx, tx, rollout);
  }
  const holds = await readHolds(ctx, tx);
  // Told before it is looked at what they say: a step that begins in this pass is told in this pass.
  const reached = await readReached(ctx, tx, rollout);
  const { samples, fresh } =
    state === "running"
      ? await readSamples(ctx, tx, rollout, reached)
      : { samples: { canary: [], control: [] }, fresh: [] };
  const {
    tell: told,
    input,
    decided,
  } = pass({
    state,
    ruleSet: rollout.ruleSet,
    mode: rollout.mode,
    step: rollout.step,
    steps: rollout.steps.map(({ percent, soak, requireApproval }) => ({
      percent,
      soakMs: durationMs(soak),
      requireApproval: requireApproval ?? false,
    })),
    stepAgeMs: ctx.clock() - rollout.stepStartedAt.getTime(),
    approvedStep: rollout.approvedStep,
    lostEventsMax: rollout.lostEventsMax,
    settings: rollout.gate,
    askAfterMs: durationMs(rollout.gate.askAfter),
    ...holds,
    waiting: state === "running" ? await readWaiting(ctx, tx, rollout) : [],
    nodes: reached,
    domains: rollout.domains,
    settleMs: durationMs(rollout.settle),
    twin: rollout.mode === "twin" && state === "running" ? await twinFigures(tx, rollout.id) : null,
    domainSizes: await readDomainSizes(tx, rollout),
    samples,
  });
  assigned.push(...(await tell(ctx, tx, rollout, told)));
  const { decision } = decided;
  const next = await carryOut(ctx, tx, rollout, decision);
  assigned.push(...next.assigned);
  await remember(ctx, tx, rollout, decision, decided.signals, input);
  if (decision.kind === "advance") {
    // The nodes of the step that begins are told at once, as far as their domains have room.
    const further = await step(ctx, tx, next.rollout, "running");
    return {
      ...further,
      decision,
      assigned: [...assigned, ...further.assigned],
      watched: [...fresh, ...further.watched],
    };
  }
  return { rollout: next.rollout, decision, assigned, watched: fresh };
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
    case "wait": {
      const asks = decision.asks ?? null;
      return { rollout: asks === rollout.asks ? rollout : await update({ asks }), assigned: [] };
    }
    case "advance": {
      const next = await update({ step: decision.to, stepStartedAt: now(ctx), asks: null });
      const assigned = await beginStep(ctx, tx, next);
      await audit("advance");
      return { rollout: next, assigned };
    }
    case "complete": {
      const next = await update({ state: "complete", finishedAt: now(ctx), asks: null });
      const assigned = await assignComplete(ctx, tx, next);
      await audit("complete");
      return { rollout: next, assigned };
    }
    case "roll-back": {
      const next = await update({ state: "rolling-back", stepStartedAt: now(ctx), asks: null });
      const assigned = await assignPrevious(ctx, tx, next);
      await audit("roll-back");
      return { rollout: next, assigned };
    }
    case "rolled-back": {
      const next = await update({ state: "rolled-back", finishedAt: now(ctx), asks: null });
      await audit("finish-roll-back");
      return { rollout: next, assigned: [] };
    }
  }
}

/**
 * A decision is stored when it says something new: a wait that is seen every second is one wait, and one for nodes that
 * install is one however many are left. What waits for something else than the signals is stored without them.
 */
async function remember(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  decision: Decision,
  signals: SignalFinding[] | null,
  evidence: GateInput | null,
): Promise<void> {
  const [last] = await tx
    .select({
      id: rolloutDecisions.id,
      step: rolloutDecisions.step,
      kind: rolloutDecisions.kind,
      because: rolloutDecisions.because,
    })
    .from(rolloutDecisions)
    .where(eq(rolloutDecisions.rollout, rollout.id))
    .orderBy(desc(rolloutDecisions.id))
    .limit(1);
  const kind = decisionKind(decision);
  const { because } = decision;
  if (last && last.step === rollout.step && last.kind === kind && last.because === because) return;
  const weighed = decision.kind !== "wait" || decision.early !== true;
  const values = {
    rollout: rollout.id,
    at: now(ctx),
    step: rollout.step,
    kind,
    because,
    signals: weighed ? signals : null,
    evidence: evidence && (weighed ? evidence : { ...evidence, samples: { canary: [], control: [] } }),
  };
  const installing = (text: string) => text.endsWith(NOT_YET);
  if (last && last.step === rollout.step && installing(last.because) && installing(because))
    await tx.update(rolloutDecisions).set(values).where(eq(rolloutDecisions.id, last.id));
  else await tx.insert(rolloutDecisions).values(values);
}

/** The clock alone can end a soak: nobody else would nudge then. */
function remind(ctx: Ctx, rollout: RolloutRow, decision: Decision): void {
  const job = { kind: "reconcile-rollout", rollout: rollout.id } as const;
  const at = (ms: number) =>
    ctx.jobs.nudge(job, { delayMs: Math.max(50, ms - ctx.clock() + 5), once: String(ms) });
  if (rollout.state === "scheduled" && rollout.startAt !== null && rollout.startAt.getTime() > ctx.clock())
    at(rollout.startAt.getTime());
  if (rollout.state !== "running") return;
  if (decision.kind === "advance" || decision.because === "soaking")
    at(rollout.stepStartedAt.getTime() + durationMs(rollout.steps[rollout.step]!.soak));
}
