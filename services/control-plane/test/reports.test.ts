/** Reports that overtake one another, and reports that come by the dozen. */
import type { NodeDetails } from "@picket/shared/api";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type SimulatedNode, type Stores, startFleet, startStores } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores);
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const shown = (node: SimulatedNode) => fleet.admin.call<NodeDetails>("GET", `/v1/nodes/${node.id}`);
const causes = async () =>
  (await fleet.admin.call<{ items: { causalKey: string }[] }>("GET", "/v1/alerts")).items.map(
    ({ causalKey }) => causalKey,
  );

test("an older report that comes after a newer one changes nothing, and is no restart", async () => {
  const node = await fleet.join("overtaken");
  node.lost = 5;
  await node.report();
  const late = node.makeReport();
  node.lost = 7;
  const newer = node.makeReport();
  await node.report(newer);
  const before = await shown(node);
  await node.report(late);
  await node.report(newer);
  expect(await shown(node)).toEqual(before);
  node.lost = 9;
  await node.report();
  const rows = await query<{ events_lost: string; restarts: string }>(
    "select events_lost, totals->>'restarts' as restarts from nodes where id = $1",
    [node.id],
  );
  expect(rows).toEqual([{ events_lost: "9", restarts: "0" }]);
});

test("what the agent before a restart had sent does not undo what the new one says", async () => {
  const node = await fleet.join("restarted");
  await node.report();
  const late = node.makeReport();
  node.epoch = crypto.randomUUID();
  node.sequence = 0;
  node.uptimeSeconds = 0;
  node.lost = 2;
  await node.report();
  await node.report(late);
  const rows = await query(
    "select lost_by_agent::int, totals->>'restarts' as restarts from nodes where id = $1",
    [node.id],
  );
  expect(rows).toEqual([{ lost_by_agent: 2, restarts: "1" }]);
});

test("of reports that come together each does what it would have done alone", async () => {
  const nodes = await Promise.all(
    Array.from({ length: 40 }, (_, i) => fleet.join(`many-${i}`, { test: "many" })),
  );
  await fleet.push("many", 1);
  await fleet.start("many", 1, [{ percent: 100, soak: "1h" }], { test: "many" });
  await Promise.all(
    nodes.map(async (node, i) => {
      const [assignment] = await node.desired();
      // None of them acknowledges by itself.
      if (i === 1) node.refuse(assignment!);
      else node.install(assignment!);
      if (i === 2) node.lost = 3;
      if (i === 3) node.labels = { ...node.labels, moved: "yes" };
    }),
  );
  // Their rows are somebody else's for a while.
  const other = new pg.Client(stores.postgres.options);
  await other.connect();
  await other.query("begin");
  await other.query("select from nodes where id = $1 for update", [nodes[4]!.id]);
  await other.query("select from assignments where node = $1 for update", [nodes[5]!.id]);
  const doubly = nodes[6]!.makeReport();
  const all = [...nodes.map(node => node.report()), nodes[6]!.report(doubly)];
  const free = nodes.flatMap((_, i) => (i === 4 || i === 5 ? [] : [all[i]!]));
  await Promise.all(free);
  await other.query("commit");
  await other.end();
  await Promise.all(all);

  const [counted] = await query(
    `select count(*) filter (where jsonb_array_length(installed) = 1 and reported_at is not null)::int as reported,
            count(*) filter (where acknowledged_at is not null)::int as acknowledged
     from nodes join assignments on assignments.node = nodes.id where rule_set = 'many'`,
  );
  expect(counted).toEqual({ reported: 40, acknowledged: 40 });
  expect(await causes()).toEqual(
    expect.arrayContaining([
      `picket:bundle-refused:${nodes[1]!.id}:many`,
      `picket:events-lost:${nodes[2]!.id}`,
    ]),
  );
  expect(await shown(nodes[3]!)).toMatchObject({ labels: { moved: "yes" } });
});

async function query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
  const client = new pg.Client(stores.postgres.options);
  await client.connect();
  try {
    return (await client.query<T>(text, values)).rows;
  } finally {
    await client.end();
  }
}
