/** Starts a rollout: the plan names every node before the first one is reached. */
import type { GateSettings, RolloutDetails, RolloutRequest } from "@picket/shared/api";
import type { RolloutId, RuleVersion } from "@picket/shared/ids";
import { and, eq, isNull, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { isUniqueViolation, type Tx } from "../db/client.ts";
import {
  emergencyStops,
  nodes,
  rolloutDecisions,
  type rolloutNodes,
  rollouts,
  ruleVersions,
} from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { begin } from "./begin.ts";
import { plan, stableFor } from "./cohort.ts";
import { floorOf } from "./floor.ts";
import { withSecondPerson } from "./four-eyes.ts";
import type { RolloutRow } from "./reach.ts";
import { step } from "./reconcile.ts";
import { showRollout } from "./show.ts";
import { completeRollouts } from "./stable.ts";

/** Its steps come out right with a salt that is chosen, a large one's with any; and its nodes are soon told. */
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
  const { id, assigned, watched } = await ctx.db
    .transaction(async tx => {
      await refuseIfStopped(tx);
      const version = await installableVersion(ctx, tx, input);
      const planned = await planNodes(ctx, tx, input);
      refuseWithoutReturn(input, version.floor, planned.nodes);
      const [rollout] = await tx
        .insert(rollouts)
        .values({
          id: uuid(ctx) as RolloutId,
          ruleSet: input.ruleSet,
          version: input.version,
          bundle: version.bundle,
          previous: mostCommon(planned.nodes.map(({ previous }) => previous)),
          selector: input.selector,
          steps: withSecondPerson(input.steps, ctx.config.fourEyesAbovePercent),
          salt: planned.salt,
          lowestBucket: planned.lowestBucket,
          lostEventsMax: version.lostEventsMax,
          state: "scheduled",
          step: 0,
          stepStartedAt: now(ctx),
          createdAt: now(ctx),
          createdBy: actorName(ctx.actor),
          mode: input.mode,
          domains: input.domains,
          settle: input.settle,
          gate: input.gate ?? gateFor(planned.nodes.length),
          startAt: input.startAt === undefined ? null : new Date(input.startAt),
        })
        .returning();
      await insertNodes(tx, rollout!, planned.nodes);
      await record(ctx, tx, {
        verb: "start",
        subject: `rollout:${rollout!.id}`,
        detail: { ...input, planned: planned.nodes.length },
      });
      const { rollout: begun, decision } = await begin(ctx, tx, rollout!, { justPlanned: true });
      if (decision === null) {
        // Telling a large fleet takes too long for whoever asked to wait: a worker's pass does it.
        if (planned.nodes.length > SMALL_FLEET) return { id: begun.id, assigned: [], watched: [] };
        return { id: begun.id, ...(await step(ctx, tx, begun, "running")) };
      }
      if (decision.because.startsWith("waits for") && !input.queue) throw rolloutActive(input);
      await tx.insert(rolloutDecisions).values({
        rollout: begun.id,
        at: now(ctx),
        step: 0,
        kind: "wait",
        because: decision.because,
      });
      return { id: begun.id, assigned: [], watched: [] };
    })
    .catch(error => {
      throw isUniqueViolation(error, "rollouts_one_active") ? rolloutActive(input) : error;
    });
  // The rows are committed: who asked need not wait until a hundred thousand inboxes are filled.
  void ctx.inbox.offer(assigned);
  void ctx.inbox.askToReport(watched);
  ctx.jobs.nudge({ kind: "reconcile-rollout", rollout: id });
  return showRollout({ ctx, input: { id } });
}

const rolloutActive = ({ ruleSet }: RolloutRequest): Refusal =>
  new Refusal(
    "rollout-active",
    `rule set ${ruleSet} has an active or waiting rollout: let it finish, abort it or roll it back, or queue this one behind it`,
  );

/** Below, a difference between canary and control could not be told from chance in any sensible time. */
const COMPARABLE_NODES = 20;

const gateFor = (nodes: number): GateSettings => ({
  compare: nodes >= COMPARABLE_NODES ? "required" : "available",
  alpha: 0.01,
  askAfter: "1h",
});

async function refuseIfStopped(tx: Tx): Promise<void> {
  const [stop] = await tx.select().from(emergencyStops).where(isNull(emergencyStops.releasedAt));
  if (stop)
    throw new Refusal(
      "fleet-stopped",
      `the fleet is stopped by ${stop.by}: ${stop.reason}; nothing starts until that is released`,
    );
}

/**
 * A node that accepts a bundle refuses what is below its floor from then on. A version that raises the floor above
 * what it replaces could never be taken back: first the one to return to, then the floor.
 */
function refuseWithoutReturn(
  { ruleSet, version }: RolloutRequest,
  floor: number,
  planned: readonly { previous: RuleVersion | null }[],
): void {
  const lost = planned.find(({ previous }) => previous !== null && previous < floor);
  if (lost)
    throw new Refusal(
      "invalid",
      `version ${version} raises the floor of ${ruleSet} to ${floor}, above version ${lost.previous} that it replaces: nodes could not be rolled back. Roll out a version with a floor of at most ${lost.previous} first, then one that raises it`,
    );
}

function checkSteps({ steps, domains }: RolloutRequest): void {
  const falling = steps.findIndex((step, i) => i > 0 && step.percent < steps[i - 1]!.percent);
  if (falling > 0)
    throw new Refusal(
      "invalid",
      `steps[${falling}].percent is below the step before it: a rollout only widens`,
    );
  const twice = domains.find(({ label }, i) => domains.findIndex(other => other.label === label) < i);
  if (twice) throw new Refusal("invalid", `domains: the label ${twice.label} is capped twice`);
  if (steps.at(-1)!.percent !== 100)
    throw new Refusal("invalid", "the last step must reach 100 percent of the selected nodes");
}

async function installableVersion(ctx: Ctx, tx: Tx, { ruleSet, version }: RolloutRequest) {
  const [row] = await tx
    .select({
      bundle: ruleVersions.bundle,
      lostEventsMax: ruleVersions.lostEventsMax,
      expiresAt: ruleVersions.expiresAt,
      floor: ruleVersions.floor,
    })
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, ruleSet), eq(ruleVersions.version, version)));
  if (!row) throw notFound(`version ${version} of rule set ${ruleSet}`);
  if (row.expiresAt <= now(ctx))
    throw new Refusal(
      "invalid",
      `version ${version} expired at ${row.expiresAt.toISOString()}: every node would refuse it; sign a new version`,
    );
  const floor = await floorOf(tx, ruleSet);
  if (version < floor)
    throw new Refusal(
      "invalid",
      `version ${version} is below the floor ${floor} that a version rolled out before has set: nodes would refuse it`,
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
    await tx.execute(sql`
      insert into rollout_nodes (rollout, node, bucket, step, previous)
      select ${rollout.id}::uuid, node, bucket, step, previous
      from jsonb_populate_recordset(null::rollout_nodes, ${JSON.stringify(planned.slice(from, from + 5_000))}::jsonb)`);
}

function mostCommon(versions: readonly (RuleVersion | null)[]): RuleVersion | null {
  const counts = new Map<RuleVersion | null, number>();
  for (const version of versions) counts.set(version, (counts.get(version) ?? 0) + 1);
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}
