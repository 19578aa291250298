/** Pause, resume, abort, roll back: one change of state each, allowed by the state machine in core.ts. */
import type { RolloutDetails } from "@picket/shared/api";
import type { RolloutId } from "@picket/shared/ids";
import { and, eq, gt } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { isUniqueViolation, type Tx } from "../db/client.ts";
import { rolloutDecisions, rollouts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import type { NodeAssignment } from "./assign.ts";
import { after, type RolloutVerb } from "./core.ts";
import { assignPrevious, type RolloutRow } from "./reach.ts";
import { showRollout } from "./show.ts";

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
  return change(ctx, input.id, "abort", { finishedAt: now(ctx) });
}

/** Every reached node gets what was stable for it; done when all report it. */
export async function rollBackRollout({ ctx, input }: Input): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.roll-back");
  return change(
    ctx,
    input.id,
    "roll-back",
    { stepStartedAt: now(ctx), finishedAt: null },
    async (tx, rollout) => {
      await refuseIfSuperseded(tx, rollout);
      await tx.insert(rolloutDecisions).values({
        rollout: rollout.id,
        at: now(ctx),
        step: rollout.step,
        kind: "roll-back",
        because: `asked for by ${ctx.actor.kind === "person" ? ctx.actor.name : "the system"}`,
      });
      return assignPrevious(ctx, tx, rollout);
    },
  );
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
      const [rollout] = await tx
        .select()
        .from(rollouts)
        .where(eq(rollouts.id, id as RolloutId))
        .for("update");
      if (!rollout) throw notFound(`rollout ${id}`);
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
  await ctx.inbox.offer(assigned);
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
