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

const all = [{ percent: 100 }];
const because = (details: Awaited<ReturnType<Fleet["rollout"]>>) => details.lastDecision?.because ?? "";

/** Nodes that run version 1 of a rule set of their own. */
async function running(name: string, count: number): Promise<SimulatedNode[]> {
  const nodes = await Promise.all(
    Array.from({ length: count }, (_, i) => fleet.join(`${name}-${i}`, { test: name })),
  );
  await fleet.push(name, 1);
  await fleet.push(name, 2);
  const first = await fleet.start(name, 1, all, { test: name });
  await Promise.all(nodes.map(node => node.follow()));
  await until(
    () => fleet.rollout(first.id),
    ({ state }) => state === "complete",
  );
  return nodes;
}

test("a paused rollout begins no step, however good the evidence; resumed, it goes on", async () => {
  const nodes = await running("pause", 3);
  const started = await fleet.start("pause", 2, [{ percent: 30 }, { percent: 100 }], { test: "pause" });
  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/pause`);
  const [canary] = reached(nodes, started);
  await canary!.follow();
  // Two sweeps, and the nudge of the report, have passed by then.
  await new Promise(resolve => setTimeout(resolve, 1_000));
  expect(await fleet.rollout(started.id)).toMatchObject({ state: "paused", step: 0 });
  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/resume`);
  await until(
    () => fleet.rollout(started.id),
    ({ step }) => step === 1,
  );
});

test("an aborted rollout leaves nodes as they are, and what joins gets what is stable", async () => {
  const nodes = await running("abort", 3);
  const started = await fleet.start("abort", 2, [{ percent: 30 }, { percent: 100 }], { test: "abort" });
  const [canary] = reached(nodes, started);
  await canary!.follow();
  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/abort`);
  expect((await canary!.desired())[0]).toMatchObject({ version: 2 });
  const late = await fleet.join("abort-late", { test: "abort" });
  expect((await late.desired())[0]).toMatchObject({ version: 1, generation: 1 });
  expect(await fleet.admin.refusal("POST", `/v1/rollouts/${started.id}/resume`)).toMatchObject({
    code: "wrong-state",
  });
  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/rollback`);
  expect((await canary!.desired())[0]).toMatchObject({ version: 1 });
});

test("a node that refuses holds the rollout, raises a P1 that ends in what the verifier said, and is heard when it recovers", async () => {
  const [node] = await running("refuse", 1);
  const started = await fleet.start("refuse", 2, all, { test: "refuse" });
  const lease = await node!.poll(5);
  node!.refuse(lease!.assignment);
  await node!.report();
  const held = await until(
    () => fleet.rollout(started.id),
    details => because(details).includes("refused"),
  );
  expect(because(held)).toContain("verifier-refused: R1 invalid mem access");
  expect(held.nodes).toMatchObject({ refused: 1, installed: 0 });
  expect(held.nodesPlanned[0]).toMatchObject({
    state: "refused",
    detail: expect.stringContaining("verifier-refused"),
  });
  const alert = () =>
    fleet.admin
      .call<{ items: { causalKey: string; priority: string; state: string }[] }>("GET", "/v1/alerts")
      .then(({ items }) =>
        items.find(({ causalKey }) => causalKey === `picket:bundle-refused:${node!.id}:refuse`),
      );
  expect(await alert()).toMatchObject({ priority: "P1", state: "open" });
  node!.install(lease!.assignment);
  await node!.report();
  expect(await alert()).toMatchObject({ state: "resolved" });
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
});

test("events lost during the soak hold the rollout, within the rule set's bound they do not", async () => {
  const nodes = await Promise.all(["strict", "lenient"].map(name => fleet.join(name, { test: name })));
  await fleet.push("strict", 1);
  await fleet.push("lenient", 1, {
    ruleText:
      "apiVersion: picket/v1\nkind: RuleSet\nmetadata:\n  name: lenient\nspec:\n  thresholds:\n    lostEventsMax: 10\n",
  });
  const started = await Promise.all(
    ["strict", "lenient"].map(name => fleet.start(name, 1, all, { test: name })),
  );
  for (const node of nodes) node.lost = 5;
  await Promise.all(nodes.map(node => node.follow()));
  await until(
    () => fleet.rollout(started[1]!.id),
    ({ state }) => state === "complete",
  );
  const held = await until(
    () => fleet.rollout(started[0]!.id),
    details => because(details).includes("lost"),
  );
  expect(held.state).toBe("running");
  expect(because(held)).toContain("strict lost 5 events since the step began; 0 are allowed");
});

test("what was lost before the step began does not count against it", async () => {
  const [node] = await running("before", 1);
  node!.lost = 1_000;
  await node!.report();
  const started = await fleet.start("before", 2, all, { test: "before" });
  await node!.follow();
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
});

test("one rule set has one active rollout, whoever asks at the same time", async () => {
  await running("single", 1);
  const ask = () =>
    fleet.admin.fetch("POST", "/v1/rollouts", {
      ruleSet: "single",
      version: 2,
      selector: { test: "single" },
      steps: [{ percent: 100, soak: "0s" }],
    });
  const statuses = (await Promise.all([ask(), ask(), ask()])).map(({ status }) => status).sort();
  expect(statuses).toEqual([201, 409, 409]);
});

test("share and scope of a step reach the node, and a complete rollout judges every process", async () => {
  const [node] = await running("share", 1);
  const started = await fleet.start(
    "share",
    2,
    [
      { percent: 100, share: 20 },
      { percent: 100, share: 50 },
    ],
    {
      test: "share",
    },
  );
  const shares: number[] = [];
  for (let i = 0; i < 3; i++) shares.push((await node!.follow())!.share);
  expect(shares).toEqual([2_000, 5_000, 10_000]);
  const complete = await fleet.rollout(started.id);
  expect(complete.state).toBe("complete");
  expect((await node!.desired())[0]).toMatchObject({ share: 10_000, scope: "all", generation: 4 });
});

test("a roll back of the first version ever gives it no process", async () => {
  const node = await fleet.join("first", { test: "first" });
  await fleet.push("first", 1);
  const started = await fleet.start("first", 1, all, { test: "first" });
  expect(started.previous).toBeNull();
  await node.follow();
  await fleet.admin.call("POST", `/v1/rollouts/${started.id}/rollback`);
  expect(await node.follow()).toMatchObject({ version: 1, share: 0 });
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "rolled-back",
  );
});

test("a node that joins during a rollout is reached by its own bucket, else it has what is stable", async () => {
  await running("join", 5);
  const started = await fleet.start("join", 2, [{ percent: 50, soak: "1h" }, { percent: 100 }], {
    test: "join",
  });
  const joined = await Promise.all(
    Array.from({ length: 12 }, (_, i) => fleet.join(`late-${i}`, { test: "join" })),
  );
  const details = await until(
    () => fleet.rollout(started.id),
    ({ nodes }) => nodes.planned === 17,
  );
  const versions = await Promise.all(joined.map(async node => (await node.desired())[0]!.version));
  const expected = joined.map(({ id }) => {
    const planned = details.nodesPlanned.find(({ node }) => node === id)!;
    return planned.step === 0 ? 2 : 1;
  });
  expect(versions).toEqual(expected);
  // Those that were planned at first have not moved.
  for (const node of started.nodesPlanned)
    expect(details.nodesPlanned.find(({ node: id }) => id === node.node)).toMatchObject({
      bucket: node.bucket,
      step: node.step,
    });
});

test("a node that is gone for good does not hold a rollout once it is retired", async () => {
  const [here, gone] = await running("retire", 2);
  const started = await fleet.start("retire", 2, all, { test: "retire" });
  await here!.follow();
  expect((await fleet.rollout(started.id)).state).toBe("running");
  await fleet.admin.call("DELETE", `/v1/nodes/${gone!.id}`);
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
});

test.each([
  ["a version that was never pushed", { version: 9 }, 404, "not-found"],
  [
    "steps that narrow",
    {
      steps: [
        { percent: 50, soak: "0s" },
        { percent: 20, soak: "0s" },
        { percent: 100, soak: "0s" },
      ],
    },
    422,
    "invalid",
  ],
  ["steps that never reach all", { steps: [{ percent: 50, soak: "0s" }] }, 422, "invalid"],
  ["labels that no node carries", { selector: { test: "nobody" } }, 422, "no-nodes"],
])("a rollout of %s is refused", async (_, over, status, code) => {
  await fleet.push("bad", 1);
  const body = { ruleSet: "bad", version: 1, selector: {}, steps: [{ percent: 100, soak: "0s" }], ...over };
  expect(await fleet.admin.refusal("POST", "/v1/rollouts", body)).toMatchObject({ status, code });
});

test("only the newest rollout of a rule set is rolled back", async () => {
  const [node] = await running("newest", 1);
  const second = await fleet.start("newest", 2, all, { test: "newest" });
  await node!.follow();
  await until(
    () => fleet.rollout(second.id),
    ({ state }) => state === "complete",
  );
  const { items } = await fleet.admin.call<{ items: { id: string; ruleSet: string; version: number }[] }>(
    "GET",
    "/v1/rollouts",
  );
  const first = items.find(({ ruleSet, version }) => ruleSet === "newest" && version === 1)!;
  expect(await fleet.admin.refusal("POST", `/v1/rollouts/${first.id}/rollback`)).toMatchObject({
    code: "wrong-state",
  });
});
