/** Starts a rollout: the plan names every node before the first one is reached. */
import type { RolloutDetails, RolloutRequest } from "@picket/shared/api";
import type { RolloutId, RuleVersion } from "@picket/shared/ids";
import { and, eq, isNull, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { isUniqueViolation, type Tx } from "../db/client.ts";
import { nodes, rolloutNodes, rollouts, ruleVersions } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { plan, stableFor } from "./core.ts";
import { assignStep, beginStep, type RolloutRow } from "./reach.ts";
import { showRollout } from "./show.ts";
import { completeRollouts } from "./stable.ts";

/** A small fleet's steps come out right with a salt that is chosen; a large one's do with any. */
const SMALL_FLEET = 1_000;
const SALTS = 64;

export async function startRollout({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: RolloutRequest;
}): Promise<RolloutDetails> {
  authorise(ctx, "rollouts.start");
  checkSteps(input);
  const { rollout, assigned } = await ctx.db
    .transaction(async tx => {
      const version = await installableVersion(ctx, tx, input);
      const planned = await planNodes(ctx, tx, input);
      const [rollout] = await tx
        .insert(rollouts)
        .values({
          id: uuid(ctx) as RolloutId,
          ruleSet: input.ruleSet,
          version: input.version,
          bundle: version.bundle,
          previous: mostCommon(planned.nodes.map(({ previous }) => previous)),
          selector: input.selector,
          steps: input.steps,
          salt: planned.salt,
          lowestBucket: planned.lowestBucket,
          lostEventsMax: version.lostEventsMax,
          state: "running",
          step: 0,
          stepStartedAt: now(ctx),
          createdAt: now(ctx),
          createdBy: actorName(ctx.actor),
        })
        .returning();
      await insertNodes(tx, rollout!, planned.nodes);
      await beginStep(ctx, tx, rollout!);
      const assigned = await assignStep(ctx, tx, rollout!);
      await record(ctx, tx, {
        verb: "start",
        subject: `rollout:${rollout!.id}`,
        detail: { ...input, planned: planned.nodes.length },
      });
      return { rollout: rollout!, assigned };
    })
    .catch(error => {
      if (isUniqueViolation(error, "rollouts_one_active"))
        throw new Refusal(
          "rollout-active",
          `rule set ${input.ruleSet} has an active rollout: let it finish, abort it or roll it back`,
        );
      throw error;
    });
  await ctx.inbox.offer(assigned);
  ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: rollout.id });
  return showRollout({ ctx, input: { id: rollout.id } });
}

function checkSteps({ steps }: RolloutRequest): void {
  const falling = steps.findIndex((step, i) => i > 0 && step.percent < steps[i - 1]!.percent);
  if (falling > 0)
    throw new Refusal(
      "invalid",
      `steps[${falling}].percent is below the step before it: a rollout only widens`,
    );
  if (steps.at(-1)!.percent !== 100)
    throw new Refusal("invalid", "the last step must reach 100 percent of the selected nodes");
}

async function installableVersion(ctx: Ctx, tx: Tx, { ruleSet, version }: RolloutRequest) {
  const [row] = await tx
    .select({
      bundle: ruleVersions.bundle,
      lostEventsMax: ruleVersions.lostEventsMax,
      expiresAt: ruleVersions.expiresAt,
    })
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, ruleSet), eq(ruleVersions.version, version)));
  if (!row) throw notFound(`version ${version} of rule set ${ruleSet}`);
  if (row.expiresAt <= now(ctx))
    throw new Refusal(
      "invalid",
      `version ${version} expired at ${row.expiresAt.toISOString()}: every node would refuse it; sign a new version`,
    );
  return row;
}

async function planNodes(ctx: Ctx, tx: Tx, input: RolloutRequest) {
  const selected = await tx
    .select({ id: nodes.id, labels: nodes.labels })
    .from(nodes)
    .where(and(isNull(nodes.retiredAt), sql`${nodes.labels} @> ${JSON.stringify(input.selector)}::jsonb`));
  if (selected.length === 0) throw new Refusal("no-nodes", "no enrolled node carries these labels");
  const salts = Array.from({ length: selected.length > SMALL_FLEET ? 1 : SALTS }, () =>
    ctx.random(16).toString("hex"),
  );
  const planned = plan(
    selected.map(({ id }) => id),
    input.steps.map(({ percent }) => percent),
    salts,
  );
  const complete = await completeRollouts(tx, input.ruleSet);
  return {
    ...planned,
    nodes: planned.nodes.map((node, i) => ({
      ...node,
      previous: stableFor(selected[i]!.labels, complete)?.version ?? null,
    })),
  };
}

async function insertNodes(
  tx: Tx,
  rollout: RolloutRow,
  planned: {
    node: (typeof rolloutNodes.$inferInsert)["node"];
    bucket: number;
    step: number;
    previous: RuleVersion | null;
  }[],
): Promise<void> {
  for (let from = 0; from < planned.length; from += 5_000)
    await tx
      .insert(rolloutNodes)
      .values(planned.slice(from, from + 5_000).map(node => ({ ...node, rollout: rollout.id })));
}

function mostCommon(versions: readonly (RuleVersion | null)[]): RuleVersion | null {
  const counts = new Map<RuleVersion | null, number>();
  for (const version of versions) counts.set(version, (counts.get(version) ?? 0) + 1);
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}
