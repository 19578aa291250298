/** What must hold after any chaos, as sentences; each returns what speaks against it, and an empty list is good. */
import type { Outcome, Witnessed } from "./chaos.ts";

interface Planned {
  node: string;
  step: number;
}

export const INVARIANTS: Record<string, (outcome: Outcome) => Promise<string[]>> = {
  "the rollout is complete and every node runs its version": async ({ world, rollout, nodes }) => {
    const [row] = await world.ask<{ state: string; step: number }>(
      "select state, step from rollouts where id = $1",
      [rollout],
    );
    const last = await world.ask("select kind, because from rollout_decisions order by id desc limit 1");
    const wrong =
      row!.state === "complete" ? [] : [`it is ${row!.state} at step ${row!.step}: ${JSON.stringify(last)}`];
    for (const node of nodes) {
      const installed = node.installed.get("chaos");
      if (installed?.kind !== "active" || installed.version !== 2)
        wrong.push(`${node.id} runs ${JSON.stringify(installed)}`);
    }
    return wrong;
  },

  "no node got the version before the step that takes it had begun": async outcome => {
    const planned = await plan(outcome);
    const begun = await stepsBegun(outcome);
    return deliveries(outcome)
      .filter(({ node, atMs }) => atMs < (begun[planned.get(node)!] ?? Number.POSITIVE_INFINITY))
      .map(({ node, atMs }) => `${node} (step ${planned.get(node)}) at ${new Date(atMs).toISOString()}`);
  },

  "no step began before every node of the steps before it had installed the version": async outcome => {
    const planned = await plan(outcome);
    const begun = await stepsBegun(outcome);
    const installedAt = new Map<string, number>();
    for (const { kind, node, atMs } of outcome.seen)
      if (kind === "installed" && !installedAt.has(node)) installedAt.set(node, atMs);
    const wrong: string[] = [];
    for (const [node, step] of planned)
      for (const [next, atMs] of begun.entries())
        if (next > step && !((installedAt.get(node) ?? Number.POSITIVE_INFINITY) <= atMs))
          wrong.push(`step ${next} began before ${node} of step ${step} had installed`);
    return wrong;
  },

  "nothing was delivered to a node that it was not for": async ({ world, seen }) => {
    const rows = await world.ask<{ node: string; id: string; generation: number; version: number }>(
      "select distinct node, id, generation, version from chaos_history",
    );
    const given = new Set(rows.map(row => `${row.node} ${row.id} ${row.generation} ${row.version}`));
    return seen.flatMap(what => {
      if (what.kind !== "delivered") return [];
      const { id, generation, version } = what.assignment;
      return given.has(`${what.node} ${id} ${generation} ${version}`) ? [] : [`${what.node} got ${id}`];
    });
  },

  "nothing that was acknowledged is lost: the row says so before the node hears it": async ({
    world,
    seen,
  }) => {
    const rows = await world.ask<{ id: string; ms: number }>(
      `select id, min(extract(epoch from acknowledged_at) * 1000)::float8 as ms from chaos_history
       where acknowledged_at is not null group by id
       union select old.id, 0 from chaos_history old join chaos_history new
         on new.node = old.node and new.generation > old.generation`,
    );
    const saidAt = new Map(rows.map(({ id, ms }) => [id, ms]));
    return seen.flatMap(what =>
      what.kind === "acknowledged" &&
      !((saidAt.get(what.assignment.id) ?? Number.POSITIVE_INFINITY) <= what.atMs)
        ? [`${what.node} acknowledged ${what.assignment.id}`]
        : [],
    );
  },

  "every detection that was said to be committed is there, once": async ({ world, committed }) => {
    const rows = await world.ask<{ id: string; times: number }>(
      "select id::text, count(*)::int as times from detections group by id",
    );
    const times = new Map(rows.map(row => [row.id, row.times]));
    return committed.filter(id => times.get(id) !== 1).map(id => `${id}: ${times.get(id) ?? 0} times`);
  },

  "the audit log's chain is whole": async ({ world }) => {
    const check = await world.call<{ intact: boolean }>("GET", "/v1/audit/verify");
    return check.intact ? [] : [JSON.stringify(check)];
  },
};

const deliveries = ({ seen }: Outcome) =>
  seen.filter(
    (what): what is Extract<Witnessed, { kind: "delivered" }> =>
      what.kind === "delivered" && what.assignment.version === 2,
  );

async function plan({ world, rollout }: Outcome): Promise<Map<string, number>> {
  const rows = await world.ask<Planned>("select node, step from rollout_nodes where rollout = $1", [rollout]);
  return new Map(rows.map(({ node, step }) => [node, step]));
}

/** When each step began, by the decision that began it: taken before anything was written. */
async function stepsBegun({ world, rollout }: Outcome): Promise<number[]> {
  const rows = await world.ask<{ at: Date }>(
    `select created_at as at from rollouts where id = $1
     union all (select at from rollout_decisions where rollout = $1 and kind = 'advance' order by id)`,
    [rollout],
  );
  return rows.map(({ at }) => at.getTime());
}
