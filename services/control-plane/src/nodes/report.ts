/** Takes in what a node says of itself; what changed nudges rollouts and raises or resolves alerts. */
import { isDeepStrictEqual } from "node:util";
import type { Report } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import type { Labels } from "@picket/shared/vocabulary";
import { and, eq, isNull, sql } from "drizzle-orm";
import { raiseAlerts, resolveAlerts } from "../alerts/raise.ts";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { assignments, nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";
import type { NodeAssignment } from "../rollouts/assign.ts";
import { nudgeActiveRollouts, nudgeRolloutsOf } from "../rollouts/nudge.ts";
import { assignStable } from "../rollouts/stable.ts";
import { lossSince, nodeAlerts } from "./alerts.ts";
import { theNode } from "./the-node.ts";
import { addReport, moveMarks } from "./totals.ts";

export async function report({ ctx, input }: { ctx: Ctx; input: Report }): Promise<void> {
  authorise(ctx, "agent.report");
  const id = theNode(ctx);
  const done = await ctx.db.transaction(async tx => {
    const [before] = await tx.select().from(nodes).where(eq(nodes.id, id)).for("update");
    if (!before) throw notFound(`node ${id}`);
    const lost = lossSince(before, { lost: input.events.lost, uptimeSeconds: input.agent.uptimeSeconds });
    const eventsLost = before.eventsLost + lost;
    const totals = addReport(before, input, ctx.clock());
    // What the join token fixed stays: a node must not label itself into another selector.
    const labels = { ...input.labels, ...before.labelsFixed };
    await tx
      .update(nodes)
      .set({
        labels,
        kernel: input.kernel,
        agentVersion: input.agentVersion,
        lastSeenAt: now(ctx),
        reportedAt: now(ctx),
        trust: input.trust ?? 0,
        installed: input.installed,
        counters: input.counters,
        losses: input.losses,
        guarantees: input.guarantees,
        connections: input.connections,
        connectionsTotal: input.connectionsTotal,
        overrides: input.overrides,
        missing: input.missing,
        shapesLearned: input.shapesLearned,
        immunity: input.immunity ?? null,
        signedProfiles: input.signedProfiles ?? [],
        residentBytes: input.agent.residentBytes,
        uptimeSeconds: input.agent.uptimeSeconds,
        lostByAgent: input.events.lost,
        eventsLost,
        totals,
        marks: moveMarks(before.marks, totals),
      })
      .where(eq(nodes.id, id));

    const wasLost =
      before.lastSeenAt !== null && ctx.clock() - before.lastSeenAt.getTime() > ctx.config.nodeSilentMs;
    const seen = nodeAlerts({
      node: id,
      hostname: before.hostname,
      before: { installed: before.installed, eventsLost: before.eventsLost, wasLost },
      after: { installed: input.installed, eventsLost },
    });
    const effects = [
      await resolveAlerts(ctx, tx, seen.resolve),
      await raiseAlerts(
        ctx,
        tx,
        seen.raise.map(alert => ({ ...alert, nodes: [id], count: 1, at: now(ctx) })),
      ),
    ];
    const installedChanged = !isDeepStrictEqual(before.installed, input.installed);
    if (installedChanged) await acknowledgeInstalled(ctx, tx, id, input);
    const relabelled = isDeepStrictEqual(before.labels, labels) ? null : await relabel(ctx, tx, id, labels);
    return { effects, installedChanged: installedChanged || lost > 0 || wasLost, relabelled };
  });
  for (const effect of done.effects) effect.nudge();
  if (done.relabelled) {
    await ctx.inbox.offer(done.relabelled);
    await nudgeActiveRollouts(ctx);
  } else if (done.installedChanged) await nudgeRolloutsOf(ctx, id);
}

/** What it runs, or refused, it has received, whatever became of its acknowledgement. */
async function acknowledgeInstalled(ctx: Ctx, tx: Tx, node: NodeId, { installed }: Report): Promise<void> {
  for (const { ruleSet, generation } of installed)
    await tx
      .update(assignments)
      .set({ acknowledgedAt: now(ctx) })
      .where(
        and(
          eq(assignments.node, node),
          eq(assignments.ruleSet, ruleSet),
          isNull(assignments.acknowledgedAt),
          sql`${assignments.generation} <= ${generation}`,
        ),
      );
}

async function relabel(ctx: Ctx, tx: Tx, node: NodeId, labels: Labels): Promise<NodeAssignment[]> {
  const assigned = await assignStable(ctx, tx, [{ id: node, labels }]);
  await record(ctx, tx, { verb: "relabel", subject: `node:${node}`, detail: { labels } });
  return assigned;
}
