/** What the nodes of a rollout say now: what core.ts is given. */
import type { Installed } from "@picket/shared/contract";
import type { NodeId, RuleSetName } from "@picket/shared/ids";
import { and, asc, desc, eq, isNotNull, isNull, lte, sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { among } from "../db/among.ts";
import type { Tx } from "../db/client.ts";
import { assignments, nodes, rolloutNodes, type rollouts } from "../db/schema.ts";
import type { Counted, Watch } from "../db/totals.ts";
import { isSilent } from "../nodes/pace.ts";
import { difference, watchFrom } from "../nodes/totals.ts";
import { progressOf, type ReachedNode } from "./core.ts";
import { type DomainCounts, domainOf, type WaitingNode } from "./domains.ts";
import type { Sample, Samples } from "./gate/signals.ts";
import type { RolloutRow } from "./reach.ts";

/** Of each arm: more nodes make a comparison no better than it need be, and all are read at every pass and stored. */
const SAMPLED_MAX = 200;

/** Only the rule set's entry of a report is read: a fleet's whole reports would not fit in memory. */
export const installedOf = (ruleSet: typeof rollouts.ruleSet | string) =>
  sql<Installed | null>`jsonb_path_query_first(${nodes.installed}, '$[*] ? (@.ruleSet == $name)',
    jsonb_build_object('name', ${ruleSet}::text))`;

/** Those that were told, each as the state machine sees it. */
export async function readReached(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
): Promise<(ReachedNode & { node: NodeId })[]> {
  const rows = await tx
    .select({
      node: nodes.id,
      hostname: nodes.hostname,
      labels: nodes.labels,
      version: assignments.version,
      generation: assignments.generation,
      installed: installedOf(rollout.ruleSet),
      installedAt: rolloutNodes.installedAt,
      reachedAt: rolloutNodes.reachedAt,
      silentAt: nodes.silentAt,
      quarantinedAt: nodes.quarantinedAt,
      eventsLost: sql<number>`${nodes.eventsLost} - ${rolloutNodes.lostAtStepStart}`.mapWith(Number),
    })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .innerJoin(
      assignments,
      and(eq(assignments.node, rolloutNodes.node), eq(assignments.ruleSet, rollout.ruleSet)),
    )
    .where(
      and(eq(rolloutNodes.rollout, rollout.id), isNotNull(rolloutNodes.reachedAt), isNull(nodes.retiredAt)),
    );
  const reached = rows.map(row => ({
    node: row.node,
    hostname: row.hostname,
    labels: row.labels,
    target: { version: row.version, generation: row.generation },
    installed: row.installed,
    installedForMs: row.installedAt === null ? null : ctx.clock() - row.installedAt.getTime(),
    silent: isSilent(ctx, row),
    // What a node in quarantine would say is not heard: it is away until it is released.
    absent:
      row.quarantinedAt !== null ||
      (row.silentAt !== null && row.reachedAt !== null && row.silentAt < row.reachedAt),
    eventsLost: row.eventsLost,
  }));
  await markInstalled(ctx, tx, rollout, reached);
  return reached;
}

/** By the control plane's clock: a node's own may be wrong. */
async function markInstalled(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  reached: (ReachedNode & { node: NodeId })[],
): Promise<void> {
  const fresh = reached.filter(node => node.installedForMs === null && progressOf(node).kind === "installed");
  for (let from = 0; from < fresh.length; from += 5_000)
    await tx
      .update(rolloutNodes)
      .set({ installedAt: now(ctx) })
      .where(
        and(
          eq(rolloutNodes.rollout, rollout.id),
          among(
            rolloutNodes.node,
            fresh.slice(from, from + 5_000).map(({ node }) => node),
          ),
        ),
      );
  for (const node of fresh) node.installedForMs = 0;
}

/** Those that the step takes and that were not told, in the order of their buckets. */
export async function readWaiting(ctx: Ctx, tx: Tx, rollout: RolloutRow): Promise<WaitingNode[]> {
  const rows = await tx
    .select({
      node: nodes.id,
      hostname: nodes.hostname,
      labels: nodes.labels,
      silentAt: nodes.silentAt,
      quarantinedAt: nodes.quarantinedAt,
    })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .where(
      and(
        eq(rolloutNodes.rollout, rollout.id),
        isNull(rolloutNodes.reachedAt),
        lte(rolloutNodes.step, rollout.step),
        isNull(nodes.retiredAt),
      ),
    )
    .orderBy(asc(rolloutNodes.bucket), asc(nodes.id));
  return rows.map(({ node, hostname, labels, silentAt, quarantinedAt }) => ({
    node,
    hostname,
    labels,
    present: quarantinedAt === null && !isSilent(ctx, { silentAt }),
  }));
}

/** How many nodes of the rollout are in each domain. */
export async function readDomainSizes(tx: Tx, rollout: RolloutRow): Promise<DomainCounts> {
  const sizes = new Map<string, number>();
  for (const label of new Set(rollout.domains.map(({ label }) => label))) {
    const rows = await tx
      .select({ value: sql<string | null>`${nodes.labels} ->> ${label}`, count: sql<number>`count(*)::int` })
      .from(rolloutNodes)
      .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
      .where(and(eq(rolloutNodes.rollout, rollout.id), isNull(nodes.retiredAt)))
      .groupBy(sql`1`);
    for (const { value, count } of rows)
      sizes.set(`${label}=${domainOf(value === null ? {} : { [label]: value }, label)}`, count);
  }
  return sizes;
}

/**
 * Canary: nodes that installed what the step asks, each from the first report that says so. Control: those of the
 * highest buckets, which later steps reach last, from when the step began. `fresh`: those that are watched from now on.
 */
export async function readSamples(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  reached: readonly (ReachedNode & { node: NodeId })[],
): Promise<{ samples: Samples; fresh: NodeId[] }> {
  if (rollout.gate.compare === "off") return { samples: { canary: [], control: [] }, fresh: [] };
  const installed = new Set(
    reached.filter(node => progressOf(node).kind === "installed").map(({ node }) => node),
  );
  const reachedRows = await sampled(ctx, tx, rollout, { reached: true });
  const otherRows = await sampled(ctx, tx, rollout, { reached: false });
  const canary = await watched(ctx, tx, rollout, reachedRows, node => installed.has(node));
  const control = await watched(ctx, tx, rollout, otherRows, () => true);
  return {
    samples: { canary: canary.samples, control: control.samples },
    fresh: [...canary.fresh, ...control.fresh],
  };
}

type SampledRow = Awaited<ReturnType<typeof sampled>>[number];

function sampled(ctx: Ctx, tx: Tx, rollout: RolloutRow, { reached }: { reached: boolean }) {
  const at = now(ctx).toISOString();
  return tx
    .select({
      node: nodes.id,
      silentAt: nodes.silentAt,
      totals: nodes.totals,
      marks: nodes.marks,
      watch: rolloutNodes.watch,
    })
    .from(rolloutNodes)
    .innerJoin(nodes, eq(rolloutNodes.node, nodes.id))
    .where(
      and(
        eq(rolloutNodes.rollout, rollout.id),
        isNull(nodes.retiredAt),
        isNull(nodes.quarantinedAt),
        isNotNull(nodes.totals),
        reached ? isNotNull(rolloutNodes.reachedAt) : isNull(rolloutNodes.reachedAt),
        // One that was silent before shows nothing; one that falls silent while it is watched does.
        sql`(${rolloutNodes.watch} is not null or ${nodes.silentAt} > ${at}::timestamptz)`,
      ),
    )
    .orderBy(reached ? asc(rolloutNodes.bucket) : desc(rolloutNodes.bucket), asc(nodes.id))
    .limit(SAMPLED_MAX);
}

async function watched(
  ctx: Ctx,
  tx: Tx,
  rollout: RolloutRow,
  rows: readonly SampledRow[],
  begins: (node: NodeId) => boolean,
): Promise<{ samples: Sample[]; fresh: NodeId[] }> {
  const samples: Sample[] = [];
  const fresh: { node: NodeId; watch: Watch }[] = [];
  for (const { node, totals, marks, watch, silentAt } of rows) {
    if (totals === null) continue;
    if (watch === null) {
      if (begins(node)) fresh.push({ node, watch: watchFrom(totals, marks) });
      continue;
    }
    samples.push({
      before: watch.before && only(rollout.ruleSet, watch.before),
      during: only(rollout.ruleSet, difference(watch.start, totals)),
      silent: isSilent(ctx, { silentAt }),
    });
  }
  if (fresh.length > 0)
    await tx.execute(sql`update ${rolloutNodes} set watch = fresh.watch
      from jsonb_to_recordset(${JSON.stringify(fresh)}::jsonb) as fresh(node uuid, watch jsonb)
      where ${rolloutNodes.rollout} = ${rollout.id} and ${rolloutNodes.node} = fresh.node`);
  return { samples, fresh: fresh.map(({ node }) => node) };
}

/** The other rule sets of a node say nothing of this one. */
const only = (ruleSet: RuleSetName, counted: Counted): Counted => {
  const set = counted.sets[ruleSet];
  return { ...counted, sets: set ? { [ruleSet]: set } : {} };
};
