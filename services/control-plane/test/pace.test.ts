/** How often nodes are told to call, in a fleet that is too large for its control plane; the clock is the test's. */
import { Lease } from "@picket/shared/contract";
import { FULL_PACE } from "@picket/shared/pace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let aheadMs = 0;
beforeAll(async () => {
  stores = await startStores();
  // One node asks for more than this.
  fleet = await startFleet(stores, { idleCallsPerSecond: 0.01 }, { clock: () => Date.now() + aheadMs });
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const SLOW = { poll: 309, report: 185, reconcile: 740 };
const isOnline = async (id: string) =>
  (await fleet.admin.call<{ online: boolean }>("GET", `/v1/nodes/${id}`)).online;

test("a node of a large fleet is told to call seldom, and is not lost before it has missed three of its reports", async () => {
  const node = await fleet.join("one of many");
  expect(await node.report()).toEqual({ pace: SLOW });
  aheadMs = 2.9 * SLOW.report * 1_000;
  expect(await isOnline(node.id)).toBe(true);
  aheadMs = 3.1 * SLOW.report * 1_000;
  expect(await isOnline(node.id)).toBe(false);
  aheadMs = 0;
});

test("nodes that a gate compares are asked for a report at once and report at full pace, until it is over", async () => {
  await fleet.push("paced", 1);
  const [a, b] = [await fleet.join("a", { shop: "1" }), await fleet.join("b", { shop: "1" })];
  for (const node of [a, b]) expect((await node.report()).pace.report).toBe(SLOW.report);
  // Both wait at the gateway when it begins.
  const waits = new Map(
    [a, b].map(node => [node, node.client.fetch("GET", "/v1/agent/assignments?wait=20")]),
  );
  await until(
    async () => (await fleet.admin.fetch("GET", "/metrics")).text(),
    metrics => metrics.includes("picket_gateway_waiters 2"),
  );
  const rollout = await fleet.start("paced", 1, [{ percent: 50, soak: "1h" }, { percent: 100 }], {
    shop: "1",
  });
  const [canary, control] = (await a.desired()).length > 0 ? [a, b] : [b, a];
  expect(await (await waits.get(control)!).json()).toEqual({ report: true });
  expect(await control.report()).toEqual({ pace: { ...SLOW, report: FULL_PACE.report } });
  const { assignment } = Lease.parse(await (await waits.get(canary)!).json());
  await canary.acknowledge(assignment.id);
  canary.install(assignment);
  // The pass that sees it installed is where its comparison begins.
  const waitsOn = canary.client.fetch("GET", "/v1/agent/assignments?wait=20");
  await until(
    async () => (await fleet.admin.fetch("GET", "/metrics")).text(),
    metrics => metrics.includes("picket_gateway_waiters 1"),
  );
  await canary.report();
  expect(await (await waitsOn).json()).toEqual({ report: true });
  await until(
    () => canary.report(),
    ({ pace }) => pace.report === FULL_PACE.report,
  );
  await fleet.admin.call("POST", `/v1/rollouts/${rollout.id}/abort`);
  expect(await control.report()).toEqual({ pace: SLOW });
});
