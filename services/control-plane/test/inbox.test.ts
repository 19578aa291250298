/** Assignments on their way to nodes: leased, lost, delivered again. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let redis: Redis;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, { leaseMs: 500 });
  redis = new Redis(stores.redis.url);
});
afterAll(async () => {
  redis?.disconnect();
  await fleet?.close();
  await stores?.stop();
});

async function assigned(name: string) {
  const node = await fleet.join(name, { test: name });
  await fleet.push(name, 1);
  const begin = () => fleet.start(name, 1, [{ percent: 100 }], { test: name });
  return { node, begin };
}

test("a poll that waits is answered when the assignment comes, not when its wait is over", async () => {
  const { node, begin } = await assigned("wait");
  const waiting = node.poll(60); // Longer than this test may take.
  await begin();
  expect((await waiting)?.assignment.version).toBe(1);
});

test("nothing to do answers 204 after the wait", async () => {
  const node = await fleet.join("idle");
  expect(await node.poll(0)).toBeNull();
});

test("a lease that is not acknowledged is delivered again, one that is acknowledged never", async () => {
  const { node, begin } = await assigned("lease");
  await begin();
  const first = await until(
    () => node.poll(1),
    lease => lease !== null,
  );
  const again = await until(
    () => node.poll(1),
    lease => lease !== null,
  );
  expect(again!.assignment).toEqual(first!.assignment);
  await node.acknowledge(first!.assignment.id);
  await node.acknowledge(first!.assignment.id); // An answer that was lost: asked again.
  expect(await redis.llen(`picket:inbox:{${node.id}}`)).toBe(0);
  expect(await redis.llen(`picket:leased:{${node.id}}`)).toBe(0);
  await new Promise(resolve => setTimeout(resolve, 1_200)); // Two leases and several sweeps.
  expect(await node.poll(0)).toBeNull();
});

test("a newer assignment takes the place of one that still waits", async () => {
  const { node, begin } = await assigned("newer");
  const started = await begin();
  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/rollback`);
  const lease = await node.poll(5);
  expect(lease?.assignment).toMatchObject({ generation: 2, share: 0 });
  await node.acknowledge(lease!.assignment.id);
  expect(await node.poll(0)).toBeNull();
});

test("an emptied Redis delays, and loses nothing: what is desired is known, and the sweep fills the inboxes", async () => {
  const { node, begin } = await assigned("emptied");
  const started = await begin();
  await redis.flushall();
  expect((await node.desired()).map(({ version }) => version)).toEqual([1]);
  expect(
    (
      await until(
        () => node.poll(1),
        lease => lease !== null,
      )
    )?.assignment.version,
  ).toBe(1);
  await node.follow();
  await until(
    async () => {
      await node.follow(0);
      return fleet.rollout(started.id);
    },
    ({ state }) => state === "complete",
  );
});

test("a hundred nodes that wait all get theirs, each its own", async () => {
  const nodes = await Promise.all(
    Array.from({ length: 100 }, (_, i) => fleet.join(`many-${i}`, { test: "many" })),
  );
  await fleet.push("many", 1);
  const waiting = nodes.map(node => node.follow(60));
  const started = await fleet.start("many", 1, [{ percent: 100 }], { test: "many" });
  const ids = (await Promise.all(waiting)).map(assignment => assignment?.id);
  expect(new Set(ids).size).toBe(100);
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
});
