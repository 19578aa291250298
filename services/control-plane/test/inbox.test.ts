/** Assignments on their way to nodes: leased, lost, delivered again. */
import { randomUUID } from "node:crypto";
import { Assignment } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DOORBELL, Inbox } from "../src/gateway/inbox.ts";
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

test("a doorbell that is cut while something arrives delays it, and loses nothing", async () => {
  const { node, begin } = await assigned("cut");
  // A bell that is heard again wakes everybody to look: a poll may end with nothing and is asked again.
  const waiting = until(
    () => node.poll(60),
    lease => lease !== null,
  );
  await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
  await begin();
  expect((await waiting)?.assignment.version).toBe(1);
});

test("what waits rings at each offer, since a ring may be lost; what is leased not before the lease is over", async () => {
  let nowMs = 0;
  const rings: string[] = [];
  const listener = new Redis(stores.redis.url);
  await listener.subscribe(DOORBELL);
  listener.on("message", (_, nodes: string) => rings.push(nodes));
  const inbox = new Inbox(redis, pino({ level: "silent" }), () => nowMs);
  const node = randomUUID() as NodeId;
  const assignment = Assignment.parse({
    id: randomUUID(),
    generation: 1,
    ruleSet: "rings",
    version: 1,
    bundle: "0".repeat(64),
    rollout: null,
  });
  const offer = () => inbox.offer([{ node, assignment }]);
  const mine = () => rings.filter(nodes => nodes.includes(node)).length;
  await offer();
  await offer();
  await until(
    async () => mine(),
    count => count === 2,
  );
  expect(await inbox.lease(node, { nowMs: 0, leaseMs: 1_000 })).toEqual(assignment);
  await offer();
  await redis.publish(DOORBELL, "the last");
  await until(
    async () => rings.includes("the last"),
    heard => heard,
  );
  expect(mine()).toBe(2);
  // Its answer may have been lost on the way: it is told again as soon as the lease is over.
  nowMs = 1_000;
  await offer();
  await until(
    async () => mine(),
    count => count === 3,
  );
  listener.disconnect();
});
