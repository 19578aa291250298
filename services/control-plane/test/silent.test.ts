/** Nodes that say nothing: the clock is the test's. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let aheadMs = 0;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, {}, { clock: () => Date.now() + aheadMs });
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

test("an installed node that falls silent holds the rollout, is a P2, and both end when it reports", async () => {
  const node = await fleet.join("quiet");
  await fleet.push("quiet", 1);
  const started = await fleet.start("quiet", 1, [{ percent: 100, soak: "1m" }]);
  await node.follow();
  // The pass that its report has nudged is over: it must not meet the clock of before and of after.
  const soaking = await until(
    () => fleet.rollout(started.id),
    ({ lastDecision }) => lastDecision?.because.includes("soaking") ?? false,
  );
  expect(soaking.state).toBe("running");

  aheadMs = 100_000; // The soak has passed, and the last report is too old to show anything.
  const held = await until(
    () => fleet.rollout(started.id),
    ({ lastDecision }) => lastDecision!.because.includes("no fresh report"),
  );
  expect(held.state).toBe("running");
  expect(await fleet.admin.call("GET", `/v1/nodes/${node.id}`)).toMatchObject({ online: false });
  const lost = () =>
    fleet.admin
      .call<{ items: { causalKey: string; priority: string; state: string }[] }>("GET", "/v1/alerts")
      .then(({ items }) => items.find(({ causalKey }) => causalKey === `picket:node-lost:${node.id}`));
  expect(await until(lost, alert => alert !== undefined)).toMatchObject({ priority: "P2", state: "open" });

  node.aheadMs = aheadMs;
  await node.report();
  expect(await lost()).toMatchObject({ state: "resolved" });
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
});
