/** Rules from push to every node, over real HTTP, PostgreSQL and Redis. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type SimulatedNode, type Stores, startFleet, startStores, until } from "./fleet.ts";

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

const five = (prefix: string, labels: Record<string, string>) =>
  Promise.all([1, 2, 3, 4, 5].map(i => fleet.join(`${prefix}-${i}`, labels)));

const reached = (nodes: SimulatedNode[], details: Awaited<ReturnType<Fleet["rollout"]>>) =>
  nodes.filter(node =>
    details.nodesPlanned.some(({ node: id, state }) => id === node.id && state !== "planned"),
  );

test("20 % of five nodes is one, then all, then each has what it had before", async () => {
  const nodes = await five("canary", { test: "canary" });
  const selector = { test: "canary" };
  await fleet.push("canary", 1);
  await fleet.push("canary", 2);
  const first = await fleet.start("canary", 1, [{ percent: 100 }], selector);
  await Promise.all(nodes.map(node => node.follow()));
  await until(
    () => fleet.rollout(first.id),
    ({ state }) => state === "complete",
  );

  const started = await fleet.start("canary", 2, [{ percent: 20 }, { percent: 100 }], selector);
  expect(started.previous).toBe(1);
  expect(started.nodes).toMatchObject({ planned: 5, reached: 1 });
  const [canary] = reached(nodes, started);
  expect((await canary!.follow())?.version).toBe(2);
  const second = await until(
    () => fleet.rollout(started.id),
    ({ step }) => step === 1,
  );
  expect(second.nodes.reached).toBe(5);
  const rest = nodes.filter(node => node !== canary);
  expect((await Promise.all(rest.map(node => node.follow()))).map(assignment => assignment?.version)).toEqual(
    [2, 2, 2, 2],
  );
  const complete = await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
  expect(complete.nodes).toEqual({ planned: 5, reached: 5, installed: 5, refused: 0 });

  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/rollback`);
  const back = await Promise.all(nodes.map(node => node.follow()));
  expect(back.map(assignment => [assignment?.version, assignment?.generation])).toEqual(
    Array(5).fill([1, 3]),
  );
  const rolledBack = await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "rolled-back",
  );
  expect(rolledBack.decisions.map(({ kind }) => kind)).toContain("roll-back");

  // What is stable is version 1 again: a node that joins now gets it.
  const late = await fleet.join("canary-late", selector);
  expect((await late.desired()).map(({ version, rollout }) => [version, rollout])).toEqual([[1, null]]);
});
