/** Writes what nodes said: one statement for any number of them. */
import type { Report } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import type { Labels } from "@picket/shared/vocabulary";
import { sql } from "drizzle-orm";
import { now, type Services } from "../context.ts";
import type { Tx } from "../db/client.ts";
import type { Marks, Totals } from "../db/totals.ts";

export interface Said {
  node: NodeId;
  report: Report;
  labels: Labels;
  eventsLost: number;
  totals: Totals;
  marks: Marks;
  installedChanged: boolean;
  /** Without another report by then. */
  silentAt: Date;
}

/** Their rows are locked by the caller. */
export async function writeReports(
  clock: Pick<Services, "clock">,
  tx: Tx,
  all: readonly Said[],
): Promise<void> {
  if (all.length === 0) return;
  const rows = all.map(({ node, report, labels, eventsLost, totals, marks, silentAt }) => ({
    id: node,
    silent_at: silentAt.toISOString(),
    labels,
    kernel: report.kernel,
    agent_version: report.agentVersion,
    trust: report.trust ?? 0,
    installed: report.installed,
    counters: report.counters,
    losses: report.losses,
    guarantees: report.guarantees,
    connections: report.connections,
    connections_total: report.connectionsTotal,
    overrides: report.overrides,
    missing: report.missing,
    shapes_learned: report.shapesLearned,
    immunity: report.immunity ?? null,
    signed_profiles: report.signedProfiles ?? [],
    resident_bytes: report.agent.residentBytes,
    uptime_seconds: report.agent.uptimeSeconds,
    lost_by_agent: report.events.lost,
    events_lost: eventsLost,
    totals,
    marks,
  }));
  const columns = sql.raw(Object.keys(rows[0]!).join(", "));
  const values = sql.raw(
    Object.keys(rows[0]!)
      .map(name => `said.${name}`)
      .join(", "),
  );
  const at = sql.param(now(clock).toISOString());
  await tx.execute(sql`
    update nodes set (${columns}, last_seen_at, reported_at) =
      (select ${values}, ${at}::timestamptz, ${at}::timestamptz)
    from jsonb_populate_recordset(null::nodes, ${JSON.stringify(rows)}::jsonb) as said
    where nodes.id = said.id`);
}

/**
 * What a node runs, or refused, it has received, whatever became of its acknowledgement. Without waiting, rows that
 * somebody else holds stay as they are: the answer is whose.
 */
export async function acknowledgeInstalled(
  clock: Pick<Services, "clock">,
  tx: Tx,
  all: readonly Said[],
  { waits }: { waits: boolean },
): Promise<Set<NodeId>> {
  const installed = all.flatMap(({ node, report, installedChanged }) =>
    installedChanged
      ? report.installed.map(({ ruleSet, generation }) => ({ node, rule_set: ruleSet, generation }))
      : [],
  );
  if (installed.length === 0) return new Set();
  const at = sql.param(now(clock).toISOString());
  const held = await tx.execute<{ node: NodeId }>(sql`
    with asked as (
      select * from jsonb_to_recordset(${JSON.stringify(installed)}::jsonb)
        as asked (node uuid, rule_set text, generation integer)
    ),
    open as (
      select id from assignments join asked using (node, rule_set)
      where acknowledged_at is null and assignments.generation <= asked.generation
      for update of assignments ${sql.raw(waits ? "" : "skip locked")}
    ),
    done as (
      update assignments set acknowledged_at = ${at}::timestamptz from open where assignments.id = open.id
    )
    select node from assignments join asked using (node, rule_set)
    where acknowledged_at is null and assignments.generation <= asked.generation and id not in (select id from open)`);
  return new Set(held.rows.map(({ node }) => node));
}
