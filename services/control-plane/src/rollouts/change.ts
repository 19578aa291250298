/** What people ask of a rollout: one change of state each, allowed by the state machine in core.ts. */
import type { RolloutDetails } from "@picket/shared/api";
import type { RolloutId, RuleVersion } from "@picket/shared/ids";
import { and, eq, gt } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now } from "../context.ts";
import { isUniqueViolation, type Tx } from "../db/client.ts";
import { rolloutDecisions, rollouts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import type { NodeAssignment } from "./assign.ts";
import { after, type RolloutVerb } from "./core.ts";
import { floorOf } from "./floor.ts";
import { refuseOwnApproval } from "./four-eyes.ts";
import { assignPrevious, type RolloutRow } from "./reach.ts";
import { reconcileRollout } from "./reconcile.ts";
import { showRollout } from "./show.ts";
import { completeRollouts } from "./stable.ts";

type Input = { ctx: Ctx; input: { id: string } };

/** Nodes keep what they run; no step begins. */
export async function pauseRollout({ ctx, input }: Input): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.pause");
  return change(ctx, input.id, "pause", {});
}

/** The step's soak begins anew: what happened meanwhile was not watched. */
export async function resumeRollout({ ctx, input }: Input): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.resume");
  return change(ctx, input.id, "resume", { stepStartedAt: now(ctx) });
}

/** Ends it where it is: reached nodes keep the version until another rollout or a roll back. */
export async function abortRollout({ ctx, input }: Input): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.abort");
  return change(ctx, input.id, "abort", { finishedAt: now(ctx), asks: null }, async (tx, rollout) =>
    // A twin that nobody reads any more need not go on.
    rollout.mode === "twin" ? assignPrevious(ctx, tx, rollout) : [],
  );
}

/**
 * Every reached node gets what was stable for it, or one version that was stable once; done when all report it. Any
 * other signed version is brought by a rollout of its own: nothing goes to all nodes at once that was not proven.
 */
export async function rollBackRollout({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string; to?: RuleVersion | undefined };
}): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.roll-back");
  const { to } = input;
  return change(
    ctx,
    input.id,
    "roll-back",
    { stepStartedAt: now(ctx), finishedAt: null, rollBackTo: to ?? null, asks: null },
    async (tx, rollout) => {
      await refuseIfSuperseded(tx, rollout);
      if (to !== undefined) await refuseUnproven(tx, rollout, to);
      await decidedByPerson(
        ctx,
        tx,
        rollout,
        "roll-back",
        `asked for${to === undefined ? "" : `, to version ${to},`} by ${actorName(ctx.actor)}`,
      );
      return assignPrevious(ctx, tx, { ...rollout, rollBackTo: to ?? null });
    },
  );
}

/** As part of an emergency stop, which was authorised. What ended in the meantime has ended. */
export async function rollBackForStop(ctx: Ctx, id: RolloutId, reason: string): Promise<void> {
  await change(
    ctx,
    id,
    "roll-back",
    { stepStartedAt: now(ctx), finishedAt: null, asks: null },
    async (tx, rollout) => {
      await decidedByPerson(
        ctx,
        tx,
        rollout,
        "roll-back",
        `emergency stop by ${actorName(ctx.actor)}: ${reason}`,
      );
      return assignPrevious(ctx, tx, rollout);
    },
  ).catch(error => {
    if (!(error instanceof Refusal && error.code === "wrong-state")) throw error;
  });
}

/** The step that waits for a person begins. */
export async function approveRollout({ ctx, input }: Input): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.approve");
  return letGoOn(ctx, input.id, "approve");
}

/**
 * On to the next step before the soak is over, the comparison is sure, or in spite of lost events. Nodes that did not
 * install it or fell silent still hold it, and so do freezes and the emergency stop.
 */
export async function promoteRollout({ ctx, input }: Input): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.promote");
  return letGoOn(ctx, input.id, "promote");
}

async function letGoOn(ctx: Ctx, id: string, verb: "approve" | "promote"): Promise<RolloutDetails> {
  await ctx.db.transaction(async tx => {
    const rollout = await locked(tx, id);
    if (rollout.state !== "running" && rollout.state !== "scheduled")
      throw new Refusal("wrong-state", `a rollout that is ${rollout.state} has no step to ${verb}`);
    if (verb === "approve" && rollout.asks === null)
      throw new Refusal("wrong-state", "this rollout does not wait for anybody's approval");
    const step = rollout.state === "scheduled" ? 0 : rollout.step + 1;
    refuseOwnApproval(ctx.actor, rollout, step, ctx.config.fourEyesAbovePercent);
    await tx.update(rollouts).set({ approvedStep: step, asks: null }).where(eq(rollouts.id, rollout.id));
    const what = step < rollout.steps.length ? `step ${step + 1}` : "completion";
    await decidedByPerson(ctx, tx, rollout, "advance", `${what} ${verb}d by ${actorName(ctx.actor)}`);
    await record(ctx, tx, {
      verb,
      subject: `rollout:${rollout.id}`,
      detail: { step, asked: rollout.asks },
    });
  });
  await reconcileRollout({ ctx, input: { rollout: id as RolloutId } });
  return showRollout({ ctx, input: { id } });
}

function decidedByPerson(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  kind: "advance" | "roll-back",
  because: string,
): Promise<unknown> {
  return tx
    .insert(rolloutDecisions)
    .values({ rollout: rollout.id, at: now(ctx), step: rollout.step, kind, because });
}

async function locked(tx: Tx, id: string): Promise<RolloutRow> {
  const [rollout] = await tx
    .select()
    .from(rollouts)
    .where(eq(rollouts.id, id as RolloutId))
    .for("update");
  if (!rollout) throw notFound(`rollout ${id}`);
  return rollout;
}

async function refuseUnproven(tx: Tx, rollout: RolloutRow, to: RuleVersion): Promise<void> {
  const proven = (await completeRollouts(tx, rollout.ruleSet)).some(
    ({ version, sequence }) => version === to && sequence < rollout.sequence,
  );
  if (!proven)
    throw new Refusal(
      "invalid",
      `version ${to} of ${rollout.ruleSet} was never rolled out to the end before this: bring it with a rollout of its own`,
    );
  const floor = await floorOf(tx, rollout.ruleSet);
  if (to < floor)
    throw new Refusal("invalid", `version ${to} is below the floor ${floor}: nodes would refuse it`);
}

async function change(
  ctx: Ctx,
  id: string,
  verb: RolloutVerb,
  values: Partial<RolloutRow>,
  effect?: (tx: Tx, rollout: RolloutRow) => Promise<NodeAssignment[]>,
): Promise<RolloutDetails> {
  const assigned = await ctx.db
    .transaction(async tx => {
      const rollout = await locked(tx, id);
      const state = after(rollout.state, verb);
      if (state === null)
        throw new Refusal(
          "wrong-state",
          `a rollout that is ${rollout.state} cannot ${verb.replace("-", " ")}`,
        );
      await tx
        .update(rollouts)
        .set({ ...values, state })
        .where(eq(rollouts.id, rollout.id));
      const assigned = (await effect?.(tx, rollout)) ?? [];
      await record(ctx, tx, {
        verb,
        subject: `rollout:${rollout.id}`,
        detail: { from: rollout.state, to: state, step: rollout.step },
      });
      return assigned;
    })
    .catch(error => {
      if (isUniqueViolation(error, "rollouts_one_active"))
        throw new Refusal("rollout-active", "another rollout of this rule set is active");
      throw error;
    });
  // The rows are committed: whoever rolls a fleet back need not wait until its inboxes are filled.
  void ctx.inbox.offer(assigned);
  ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: id as RolloutId });
  return showRollout({ ctx, input: { id } });
}

/** Only the newest rollout can be taken back: an older one's "previous" is not what came before the present. */
async function refuseIfSuperseded(tx: Tx, rollout: RolloutRow): Promise<void> {
  const [newer] = await tx
    .select({ id: rollouts.id })
    .from(rollouts)
    .where(and(eq(rollouts.ruleSet, rollout.ruleSet), gt(rollouts.sequence, rollout.sequence)))
    .limit(1);
  if (newer)
    throw new Refusal("wrong-state", `rollout ${newer.id} came after this one: roll that back first`);
}
