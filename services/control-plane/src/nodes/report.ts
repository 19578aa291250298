/**
 * Takes in what a node says of itself; what changed nudges rollouts and raises or resolves alerts. A fleet's reports
 * come by the thousand, and nearly all say little: those that come together are one transaction of a few statements,
 * which waits for nobody's row. What is more (an alert, other labels, a row that somebody holds, a second report of
 * the same node) is taken in alone afterwards.
 */
import { isDeepStrictEqual } from "node:util";
import type { Report, ReportAnswer } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import type { Pace } from "@picket/shared/pace";
import { asc } from "drizzle-orm";
import { raiseAlerts, resolveAlerts } from "../alerts/raise.ts";
import { record } from "../audit/record.ts";
import { batched } from "../batch.ts";
import { type Ctx, now, type Services } from "../context.ts";
import { among } from "../db/among.ts";
import { isPostgresAway, type Tx } from "../db/client.ts";
import { nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";
import { nudgeActiveRollouts, nudgeRolloutsOf } from "../rollouts/nudge.ts";
import { assignStable } from "../rollouts/stable.ts";
import { lossSince, nodeAlerts } from "./alerts.ts";
import { isSilent, pacesOf, silentAt } from "./pace.ts";
import { acknowledgeInstalled, type Said, writeReports } from "./said.ts";
import { theNode } from "./the-node.ts";
import { addReport, isLate, moveMarks } from "./totals.ts";

/** What a transaction holds rows of, and what its statements carry, stays small. */
const BATCH = 200;
/** A report that waits so long costs nobody anything; one that comes alone costs as much as a batch. */
const EVERY_MS = 250;

interface Asked {
  ctx: Ctx;
  input: Report;
}

/** "alone": it is not taken in yet. */
type Taken = "alone" | ReportAnswer;

export function reports(services: Services): (asked: Asked) => Promise<ReportAnswer> {
  const take = batched<Asked, Taken>(all => takeTogether(services, all), {
    most: BATCH,
    everyMs: EVERY_MS,
  });
  return async asked => {
    authorise(asked.ctx, "agent.report");
    const taken = await take(asked);
    return taken === "alone" ? takeAlone(asked) : taken;
  };
}

async function takeTogether(services: Services, all: Asked[]): Promise<Taken[]> {
  const taken: Taken[] = all.map(() => "alone");
  if (all.length === 1) return taken;
  const changed: NodeId[] = [];
  const fleet = await services.pace.now();
  const first = new Map<NodeId, number>();
  for (const [i, { ctx }] of all.entries()) if (!first.has(theNode(ctx))) first.set(theNode(ctx), i);
  try {
    await services.db.transaction(async tx => {
      const rows = await lockNodes(tx, [...first.keys()], { waits: false });
      const paceOf = await pacesOf(
        tx,
        fleet,
        rows.map(({ id }) => id),
      );
      const quiet = rows.flatMap(before => {
        const i = first.get(before.id)!;
        const { input } = all[i]!;
        const pace = paceOf(before.id);
        const said = compare(services, before, input, pace);
        if (said === null) taken[i] = { pace };
        return said === null || said.raise.length > 0 || said.resolve.length > 0 || said.relabelled
          ? []
          : [{ i, said, pace }];
      });
      const held = await acknowledgeInstalled(
        services,
        tx,
        quiet.map(({ said }) => said),
        { waits: false },
      );
      const free = quiet.filter(({ said }) => !held.has(said.node));
      await writeReports(
        services,
        tx,
        free.map(({ said }) => said),
      );
      for (const { i, said, pace } of free) {
        taken[i] = { pace };
        if (said.changed) changed.push(said.node);
      }
    });
  } catch (error) {
    if (isPostgresAway(error)) throw error;
    services.log.warn({ error, reports: all.length }, "reports are taken in one by one");
    return all.map(() => "alone");
  }
  await nudgeRolloutsOf(services, changed);
  return taken;
}

async function takeAlone({ ctx, input }: Asked): Promise<ReportAnswer> {
  const id = theNode(ctx);
  const fleet = await ctx.pace.now();
  const done = await ctx.db.transaction(async tx => {
    const [before] = await lockNodes(tx, [id], { waits: true });
    if (!before) throw notFound(`node ${id}`);
    const pace = (await pacesOf(tx, fleet, [id]))(id);
    const said = compare(ctx, before, input, pace);
    if (said === null) return { pace, effects: [], changed: false, assigned: null };
    await writeReports(ctx, tx, [said]);
    const raised = said.raise.map(alert => ({ ...alert, nodes: [id], count: 1, at: now(ctx) }));
    const effects = [await resolveAlerts(ctx, tx, said.resolve), await raiseAlerts(ctx, tx, raised)];
    await acknowledgeInstalled(ctx, tx, [said], { waits: true });
    if (!said.relabelled) return { pace, effects, changed: said.changed, assigned: null };
    const { labels } = said;
    const assigned = await assignStable(ctx, tx, [{ id, labels }]);
    await record(ctx, tx, { verb: "relabel", subject: `node:${id}`, detail: { labels } });
    return { pace, effects, changed: said.changed, assigned };
  });
  for (const effect of done.effects) effect.nudge();
  if (done.assigned) {
    await ctx.inbox.offer(done.assigned);
    await nudgeActiveRollouts(ctx);
  } else if (done.changed) await nudgeRolloutsOf(ctx, [id]);
  return { pace: done.pace };
}

/** Not "for update": what only refers to a node need not wait for its report. */
const lockNodes = (tx: Tx, ids: NodeId[], { waits }: { waits: boolean }) =>
  tx
    .select()
    .from(nodes)
    .where(among(nodes.id, ids))
    .orderBy(asc(nodes.id))
    .for("no key update", waits ? {} : { skipLocked: true });

interface Compared extends Said {
  raise: ReturnType<typeof nodeAlerts>["raise"];
  resolve: string[];
  relabelled: boolean;
  /** A rollout may wait for it. */
  changed: boolean;
}

/** Null: a newer report of the node is known already. */
function compare(
  services: Pick<Services, "clock" | "config">,
  before: typeof nodes.$inferSelect,
  report: Report,
  pace: Pace,
): Compared | null {
  const atMs = services.clock();
  if (isLate(before.totals, report.order, atMs)) return null;
  const lost = lossSince(before, { lost: report.events.lost, uptimeSeconds: report.agent.uptimeSeconds });
  const eventsLost = before.eventsLost + lost;
  const totals = addReport(before, report, atMs);
  // What the join token fixed stays: a node must not label itself into another selector.
  const labels = { ...report.labels, ...before.labelsFixed };
  const wasLost = before.silentAt !== null && isSilent(services, before);
  const seen = nodeAlerts({
    node: before.id,
    hostname: before.hostname,
    before: { installed: before.installed, eventsLost: before.eventsLost, wasLost },
    after: { installed: report.installed, eventsLost },
  });
  const installedChanged = !isDeepStrictEqual(before.installed, report.installed);
  return {
    node: before.id,
    report,
    labels,
    eventsLost,
    totals,
    marks: moveMarks(before.marks, totals),
    installedChanged,
    silentAt: silentAt(services, pace),
    ...seen,
    relabelled: !isDeepStrictEqual(before.labels, labels),
    changed: installedChanged || lost > 0 || wasLost,
  };
}
