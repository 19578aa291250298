/** A rollout over more nodes than a page shows; all but two of them are rows that no process stands behind. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";

const FURTHER = 1_200;

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

test("whoever starts it need not wait until nodes are told; all are counted, and those that want somebody are shown", async () => {
  await fleet.push("large", 1);
  const [refuses, installs] = [await fleet.join("refuses"), await fleet.join("installs")];
  await ask(
    stores,
    `insert into nodes (id, hostname, labels, labels_fixed, public_key, kernel, agent_version, join_token, enrolled_at, last_seen_at, silent_at)
     select further.id, 'further', '{}', '{}', further.id::text, kernel, agent_version, join_token, now(), now(), now() + interval '1 hour'
     from unnest($1::uuid[]) as further (id), nodes where nodes.id = $2`,
    [Array.from({ length: FURTHER }, () => randomUUID()), refuses.id],
  );
  const started = await fleet.start("large", 1, [{ percent: 100, soak: "1h" }]);
  expect(started).toMatchObject({ state: "running", nodes: { planned: FURTHER + 2, reached: 0 } });
  for (const node of [refuses, installs]) {
    const { assignment } = (await node.poll(20))!;
    if (node === refuses) node.refuse(assignment);
    else node.install(assignment);
    await node.acknowledge(assignment.id);
    await node.report();
  }
  const all = { planned: FURTHER + 2, reached: FURTHER + 2, installed: 1, refused: 1 };
  const details = await until(
    () => fleet.rollout(started.id),
    ({ nodes }) => nodes.installed === 1 && nodes.refused === 1,
  );
  expect(details).toMatchObject({ nodes: all, nodesByStep: [all] });
  expect(details.nodesPlanned).toHaveLength(500);
  expect(details.nodesPlanned[0]).toMatchObject({
    hostname: "refuses",
    state: "refused",
    detail: expect.stringContaining("R1 invalid mem access"),
  });
  expect(new Set(details.nodesPlanned.slice(1).map(({ state }) => state))).toEqual(new Set(["assigned"]));
  const { items } = await fleet.admin.call<{ items: unknown[] }>("GET", "/v1/rollouts");
  expect(items).toMatchObject([{ id: started.id, nodes: all }]);
});
