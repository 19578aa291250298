/** What holds a rollout besides its gate: people, time, domains, the whole fleet. Over real HTTP, PostgreSQL, Redis. */
import { randomUUID } from "node:crypto";
import type { EmergencyStopState, Freeze } from "@picket/shared/api";
import type { Assignment } from "@picket/shared/contract";
import type { RuleVersion, ShapeDigest } from "@picket/shared/ids";
import type { TwinDifference, TwinReport } from "@picket/shared/twin";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Fleet, type SimulatedNode, type Stores, startFleet, startStores, until } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
/** How far this control plane's clock is ahead of the real one. */
let aheadMs = 0;
const MINUTE = 60_000;
const joined: SimulatedNode[] = [];
/** Time passes for all: the nodes' clocks are not wrong. */
function pass(ms: number): void {
  aheadMs += ms;
  for (const node of joined) node.aheadMs = aheadMs;
}
async function join(hostname: string, labels: Record<string, string>): Promise<SimulatedNode> {
  const node = await fleet.join(hostname, labels);
  node.aheadMs = aheadMs;
  joined.push(node);
  return node;
}
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, {}, { clock: () => Date.now() + aheadMs });
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const all = [{ percent: 100 }];
const nodesOf = (name: string, count: number, labels: (i: number) => Record<string, string> = () => ({})) =>
  Promise.all(Array.from({ length: count }, (_, i) => join(`${name}-${i}`, { test: name, ...labels(i) })));

/** Nodes that run version 1, and version 2 is there. */
async function running(name: string, count: number, labels?: (i: number) => Record<string, string>) {
  const nodes = await nodesOf(name, count, labels);
  await fleet.push(name, 1);
  await fleet.push(name, 2);
  const first = await fleet.start(name, 1, all, { test: name }, { gate: { compare: "off" } });
  await Promise.all(nodes.map(node => node.follow()));
  await ended(first.id);
  return nodes;
}

const ended = (id: string) =>
  until(
    () => fleet.rollout(id),
    ({ finishedAt }) => finishedAt !== null,
    "the rollout's end",
  );
const says = (id: string, text: string) =>
  until(
    () => fleet.rollout(id),
    ({ lastDecision }) => lastDecision?.because.includes(text) ?? false,
    text,
  );
const desiredVersions = (nodes: SimulatedNode[], ruleSet: string) =>
  Promise.all(
    nodes.map(async node => (await node.desired()).find(each => each.ruleSet === ruleSet)?.version ?? null),
  );
const post = (path: string, body: object = {}) => fleet.admin.call("POST", path, body);

test("a step that asks for approval begins when a person approves, and who it was is kept", async () => {
  const nodes = await running("approval", 3);
  const started = await fleet.start(
    "approval",
    2,
    [{ percent: 30 }, { percent: 100, requireApproval: true }],
    { test: "approval" },
  );
  expect(await fleet.admin.refusal("POST", `/v1/rollouts/${started.id}/approve`)).toMatchObject({
    code: "wrong-state",
    detail: "this rollout does not wait for anybody's approval",
  });
  await Promise.all(nodes.map(node => node.follow(1)));
  const asking = await says(started.id, "step 2 begins when it is approved");
  expect(asking).toMatchObject({
    step: 0,
    asks: { step: 1, because: "step 2 takes 100 % of the nodes" },
  });
  const approved = await post(`/v1/rollouts/${started.id}/approve`);
  expect(approved).toMatchObject({ step: 1, asks: null });
  await Promise.all(nodes.map(node => node.follow(1)));
  const done = await ended(started.id);
  expect(done.decisions.map(({ because }) => because)).toContain("step 2 approved by bootstrap");
});

test("promoted, the next step begins before the soak is over; over nodes that have not installed it does not", async () => {
  const nodes = await running("promote", 3);
  const started = await fleet.start(
    "promote",
    2,
    [
      { percent: 30, soak: "1h" },
      { percent: 100, soak: "1h" },
    ],
    { test: "promote" },
  );
  await post(`/v1/rollouts/${started.id}/promote`);
  expect(await fleet.rollout(started.id)).toMatchObject({ step: 0, state: "running" });
  await Promise.all(nodes.map(node => node.follow(1)));
  const second = await until(
    () => fleet.rollout(started.id),
    ({ step }) => step === 1,
  );
  // The promotion was for one step: the last one soaks.
  await Promise.all(nodes.map(node => node.follow(1)));
  await says(second.id, "soaking");
});

test("a rollout that is queued begins when the one before it is complete, with what is stable then", async () => {
  const nodes = await running("queue", 2);
  await fleet.push("queue", 3);
  const second = await fleet.start("queue", 2, all, { test: "queue" });
  expect(
    await fleet.admin.refusal("POST", "/v1/rollouts", {
      ruleSet: "queue",
      version: 3,
      selector: { test: "queue" },
      steps: [{ percent: 100, soak: "0s" }],
    }),
  ).toMatchObject({ status: 409, code: "rollout-active" });
  const third = await fleet.start("queue", 3, all, { test: "queue" }, { queue: true });
  expect(third).toMatchObject({ state: "scheduled", previous: 1, nodes: { reached: 0 } });
  expect(third.lastDecision?.because).toBe(`waits for rollout ${second.id}`);
  await Promise.all(nodes.map(node => node.follow()));
  await ended(second.id);
  const begun = await until(
    () => fleet.rollout(third.id),
    ({ state }) => state === "running",
  );
  expect(begun.previous).toBe(2);
  expect(begun.nodesPlanned.map(({ previous }) => previous)).toEqual([2, 2]);
  await Promise.all(nodes.map(node => node.follow()));
  expect((await ended(third.id)).state).toBe("complete");
});

test("behind a rollout that was rolled back, a queued one asks a person first", async () => {
  await running("queue-failed", 1);
  await fleet.push("queue-failed", 3);
  const second = await fleet.start("queue-failed", 2, all, { test: "queue-failed" });
  const third = await fleet.start("queue-failed", 3, all, { test: "queue-failed" }, { queue: true });
  await post(`/v1/rollouts/${second.id}/abort`);
  const asking = await says(third.id, "begins when it is approved");
  expect(asking.asks?.because).toContain("did not complete");
  expect(await post(`/v1/rollouts/${third.id}/approve`)).toMatchObject({ state: "running" });
});

test("a rollout that starts later reaches no node before, also when nothing nudges", async () => {
  const [node] = await running("later", 1);
  const startAt = new Date(Date.now() + aheadMs + 30 * MINUTE).toISOString();
  const started = await fleet.start("later", 2, all, { test: "later" }, { startAt });
  expect(started).toMatchObject({ state: "scheduled", startAt, nodes: { reached: 0 } });
  expect(started.lastDecision?.because).toBe(`starts at ${startAt}`);
  expect(await desiredVersions([node!], "later")).toEqual([1]);
  pass(31 * MINUTE);
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "running",
  );
  expect(await desiredVersions([node!], "later")).toEqual([2]);
  await post(`/v1/rollouts/${started.id}/abort`);
});

test("in a freeze no step begins and nobody is told, and a roll back goes on", async () => {
  const nodes = await running("freeze", 3);
  const started = await fleet.start("freeze", 2, [{ percent: 30 }, { percent: 100 }], { test: "freeze" });
  const now = Date.now() + aheadMs;
  const freeze = (await post("/v1/freezes", {
    reason: "the sale",
    window: {
      kind: "once",
      from: new Date(now - MINUTE).toISOString(),
      to: new Date(now + 60 * MINUTE).toISOString(),
    },
  })) as Freeze;
  expect(freeze.frozenUntil).not.toBeNull();
  await Promise.all(nodes.map(node => node.follow(1)));
  const held = await says(started.id, "frozen until");
  expect(held).toMatchObject({ step: 0, state: "running" });
  expect(held.lastDecision?.because).toContain("the sale");
  const [waiting] = [await fleet.start("freeze-other", 1, all, {}).catch((error: Error) => error.message)];
  expect(waiting).toContain("not-found");
  await post(`/v1/rollouts/${started.id}/rollback`);
  await Promise.all(nodes.map(node => node.follow(1)));
  expect((await ended(started.id)).state).toBe("rolled-back");
  await fleet.admin.call("DELETE", `/v1/freezes/${freeze.id}`);
  expect(await fleet.admin.call("GET", "/v1/freezes")).toEqual({ items: [], nextCursor: null });
});

test.each([
  [{ kind: "weekly", days: ["fri"], from: "16:00", to: "08:00", timeZone: "Mars/Olympus" }, "no time zone"],
  [{ kind: "weekly", days: [], from: "16:00", to: "08:00", timeZone: "UTC" }, "days"],
  [
    { kind: "weekly", days: ["fri"], from: "4 pm", to: "08:00", timeZone: "UTC" },
    "a time of day such as 16:30",
  ],
  [{ kind: "once", from: "2026-12-20T00:00:00Z", to: "2026-12-19T00:00:00Z" }, "is not after"],
])("a freeze window that cannot be is refused with what is wrong: %j", async (window, words) => {
  const refusal = await fleet.admin.refusal("POST", "/v1/freezes", { reason: "x", window });
  expect(refusal).toMatchObject({ status: 422, code: "invalid" });
  expect(refusal.detail).toContain(words);
});

test("the emergency stop halts every rollout in one call, and released they go on", async () => {
  const one = await running("stop-one", 3);
  const two = await running("stop-two", 3);
  const steps = [{ percent: 30 }, { percent: 100 }];
  const started = await Promise.all(
    ["stop-one", "stop-two"].map(name => fleet.start(name, 2, steps, { test: name })),
  );
  const stopped = (await post("/v1/emergency-stop", { reason: "checkout is down" })) as EmergencyStopState;
  expect(stopped.stop).toMatchObject({ by: "bootstrap", reason: "checkout is down", releasedAt: null });
  await Promise.all([...one, ...two].map(node => node.follow(1)));
  for (const { id } of started) {
    const held = await says(id, "the fleet is stopped by bootstrap: checkout is down");
    expect(held).toMatchObject({ step: 0, state: "running" });
  }
  expect(
    await fleet.admin.refusal("POST", "/v1/rollouts", {
      ruleSet: "queue",
      version: 2,
      steps: [{ percent: 100, soak: "0s" }],
    }),
  ).toMatchObject({ status: 409, code: "fleet-stopped" });
  // Stopped again, it stays the one stop.
  await post("/v1/emergency-stop", { reason: "again" });
  await fleet.admin.call("DELETE", "/v1/emergency-stop");
  expect(await fleet.admin.refusal("DELETE", "/v1/emergency-stop")).toMatchObject({ code: "wrong-state" });
  for (const { id } of started)
    await until(
      () => fleet.rollout(id),
      ({ step }) => step === 1,
    );
  for (const { id } of started) await post(`/v1/rollouts/${id}/abort`);
});

test("the emergency stop with a roll back returns every reached node to what is stable", async () => {
  const nodes = await running("stop-back", 4);
  const started = await fleet.start("stop-back", 2, [{ percent: 50 }, { percent: 100, soak: "1h" }], {
    test: "stop-back",
  });
  await Promise.all(nodes.map(node => node.follow(1)));
  await until(
    () => fleet.rollout(started.id),
    ({ step }) => step === 1,
  );
  await post("/v1/emergency-stop", { reason: "it burns", rollBack: true });
  expect(await desiredVersions(nodes, "stop-back")).toEqual([1, 1, 1, 1]);
  for (let i = 0; i < 3; i++) await Promise.all(nodes.map(node => node.follow(1)));
  const done = await ended(started.id);
  expect(done.state).toBe("rolled-back");
  expect(done.decisions.map(({ because }) => because)).toContain("emergency stop by bootstrap: it burns");
  await fleet.admin.call("DELETE", "/v1/emergency-stop");
});

test("of a zone never more than its cap changes at once", async () => {
  const nodes = await running("caps", 9, i => ({ zone: "abc"[i % 3]! }));
  const started = await fleet.start(
    "caps",
    2,
    all,
    { test: "caps" },
    {
      domains: [{ label: "zone", nodes: 1 }],
    },
  );
  expect(started.nodes.reached).toBe(3);
  const zones = (details: typeof started) =>
    details.nodesPlanned
      .filter(({ state }) => state === "assigned" || state === "delivered")
      .map(({ node }) => nodes.find(each => each.id === node)!.labels.zone)
      .toSorted();
  expect(zones(started)).toEqual(["a", "b", "c"]);
  let most = 0;
  const done = await until(
    async () => {
      const details = await fleet.rollout(started.id);
      for (const zone of ["a", "b", "c"])
        most = Math.max(most, zones(details).filter(each => each === zone).length);
      const told = details.nodesPlanned.find(({ state }) => state === "assigned");
      const node = nodes.find(({ id }) => id === told?.node);
      await node?.follow(1);
      return fleet.rollout(started.id);
    },
    ({ finishedAt }) => finishedAt !== null,
  );
  expect(done.state).toBe("complete");
  expect(most).toBe(1);
});

test("a node that refuses keeps its domain's room: the bad version spreads no further there", async () => {
  const nodes = await running("caps-refuse", 6, i => ({ zone: "ab"[i % 2]! }));
  const started = await fleet.start(
    "caps-refuse",
    2,
    all,
    { test: "caps-refuse" },
    {
      domains: [{ label: "zone", nodes: 1 }],
    },
  );
  const told = nodes.filter(node =>
    started.nodesPlanned.some(({ node: id, state }) => id === node.id && state === "assigned"),
  );
  expect(told).toHaveLength(2);
  for (const node of told) {
    node.refuse((await node.poll(5))!.assignment);
    await node.report();
  }
  const held = await says(started.id, "refused");
  expect(held.nodes).toMatchObject({ reached: 2, refused: 2 });
  await post(`/v1/rollouts/${started.id}/abort`);
});

test("a version below the floor is refused at the start, and so is one that could not be taken back", async () => {
  const nodes = await running("floor", 1);
  await fleet.push("floor", 3, { floor: 2 });
  const refusal = await fleet.admin.refusal("POST", "/v1/rollouts", {
    ruleSet: "floor",
    version: 3,
    selector: { test: "floor" },
    steps: [{ percent: 100, soak: "0s" }],
  });
  expect(refusal).toMatchObject({ status: 422, code: "invalid" });
  expect(refusal.detail).toContain("nodes could not be rolled back");
  const second = await fleet.start("floor", 2, all, { test: "floor" });
  await nodes[0]!.follow();
  await ended(second.id);
  const third = await fleet.start("floor", 3, all, { test: "floor" });
  await nodes[0]!.follow();
  await ended(third.id);
  expect(
    await fleet.admin.refusal("POST", "/v1/rollouts", {
      ruleSet: "floor",
      version: 1,
      selector: { test: "floor" },
      steps: [{ percent: 100, soak: "0s" }],
    }),
  ).toMatchObject({ code: "invalid", detail: expect.stringContaining("below the floor 2") });
  expect(await fleet.admin.refusal("POST", `/v1/rollouts/${third.id}/rollback`, { to: 1 })).toMatchObject({
    detail: expect.stringContaining("below the floor 2"),
  });
});

test("rolled back to a version that was stable before, not to one that never was", async () => {
  const nodes = await running("back-to", 2);
  for (const version of [3, 4]) await fleet.push("back-to", version);
  const versions = [2, 4];
  let last = "";
  for (const version of versions) {
    last = (await fleet.start("back-to", version, all, { test: "back-to" })).id;
    await Promise.all(nodes.map(node => node.follow()));
    await ended(last);
  }
  expect(await fleet.admin.refusal("POST", `/v1/rollouts/${last}/rollback`, { to: 3 })).toMatchObject({
    code: "invalid",
    detail: expect.stringContaining("never rolled out to the end"),
  });
  await post(`/v1/rollouts/${last}/rollback`, { to: 1 });
  expect(await desiredVersions(nodes, "back-to")).toEqual([1, 1]);
});

test("a twin is told to be one, and when it is done its nodes run what is stable", async () => {
  const nodes = await running("twin", 2);
  const started = await fleet.start("twin", 2, all, { test: "twin" }, { mode: "twin" });
  const [assignment] = await nodes[0]!.desired();
  expect(assignment).toMatchObject({ version: 2, mode: "twin" });
  await Promise.all(nodes.map(node => node.follow()));
  const done = await ended(started.id);
  expect(done).toMatchObject({ state: "complete", mode: "twin" });
  expect(await desiredVersions(nodes, "twin")).toEqual([1, 1]);
  const late = await join("twin-late", { test: "twin" });
  expect(await desiredVersions([late], "twin")).toEqual([1]);
});

describe("what twins find", () => {
  const difference = (count: number, kind: TwinDifference["kind"] = "would-block"): TwinDifference => ({
    kind,
    shape: "a".repeat(64) as ShapeDigest,
    dialect: "pg",
    sql: "SELECT name FROM users WHERE id = ?",
    workload: "shop",
    stable: { verdict: "benign", action: "observe", rule: null },
    candidate: { verdict: "attack", action: "block", rule: "no-names" },
    count,
  });
  const report = (assignment: Assignment, epoch: string, wouldBlock: number): TwinReport => ({
    assignment: assignment.id,
    rollout: assignment.rollout,
    ruleSet: assignment.ruleSet,
    version: assignment.version,
    epoch,
    statements: 10 * wouldBlock,
    compared: 5 * wouldBlock,
    wouldBlock,
    wouldPass: 0,
    otherwise: 0,
    differences: [difference(wouldBlock)],
    unlisted: 1,
  });
  const tell = (node: SimulatedNode, said: TwinReport) => node.client.call("POST", "/v1/agent/twins", said);

  test("is added up over nodes and over restarts of their agents, and what comes twice or late counts once", async () => {
    const nodes = await running("twin-finds", 2);
    const { id } = await fleet.start("twin-finds", 2, all, { test: "twin-finds" }, { mode: "twin" });
    const assignments = await Promise.all(nodes.map(async node => (await node.desired())[0]!));
    expect(assignments[0]).toMatchObject({ beside: { version: 1 } });
    const [first, second, other] = [randomUUID(), randomUUID(), randomUUID()];
    for (const wouldBlock of [3, 7, 7, 5]) await tell(nodes[0]!, report(assignments[0]!, first, wouldBlock));
    await tell(nodes[0]!, report(assignments[0]!, second, 2));
    await tell(nodes[1]!, report(assignments[1]!, other, 1));
    expect((await fleet.rollout(id)).twin).toEqual({
      nodes: 2,
      statements: 100,
      compared: 50,
      wouldBlock: 10,
      wouldPass: 0,
      otherwise: 0,
      differences: [{ ...difference(10), nodes: 2 }],
      unlisted: 3,
    });
  });

  test("of a node that was never told to run it is nobody's, and a rollout that is no twin has none", async () => {
    const nodes = await running("twin-lies", 1);
    const { id } = await fleet.start("twin-lies", 2, all, { test: "twin-lies" }, { mode: "twin" });
    const [assignment] = await nodes[0]!.desired();
    const liar = await join("twin-liar", { test: "elsewhere" });
    await tell(liar, report(assignment!, randomUUID(), 9));
    await tell(nodes[0]!, { ...report(assignment!, randomUUID(), 9), version: 1 as RuleVersion });
    expect((await fleet.rollout(id)).twin).toMatchObject({ nodes: 0, statements: 0, differences: [] });
  });

  test("an aborted twin is taken from its nodes", async () => {
    const nodes = await running("twin-abort", 1);
    const { id } = await fleet.start("twin-abort", 2, all, { test: "twin-abort" }, { mode: "twin" });
    await post(`/v1/rollouts/${id}/abort`);
    expect((await nodes[0]!.desired())[0]).toMatchObject({ version: 1 });
    expect((await nodes[0]!.desired())[0]).not.toHaveProperty("mode");
  });
});

test("a node that leaves the selector in mid-rollout has what is stable for its new labels", async () => {
  const nodes = await running("relabel", 2, () => ({ env: "prod" }));
  const started = await fleet.start("relabel", 2, all, { test: "relabel", env: "prod" });
  const [leaver, stayer] = nodes;
  await leaver!.follow();
  expect(await desiredVersions([leaver!], "relabel")).toEqual([2]);
  leaver!.labels = { ...leaver!.labels, env: "test" };
  await leaver!.report();
  await until(
    () => desiredVersions([leaver!], "relabel"),
    ([version]) => version === 1,
  );
  await stayer!.follow();
  const done = await ended(started.id);
  expect(done).toMatchObject({ state: "complete", nodes: { planned: 1 } });
});

test("a node that was away before the step does not hold it, and finds the version when it is back", async () => {
  const nodes = await running("away", 4);
  pass(10 * MINUTE);
  const [away, ...here] = nodes;
  await Promise.all(here.map(node => node.report()));
  const started = await fleet.start("away", 2, all, { test: "away" });
  await Promise.all(here.map(node => node.follow()));
  const done = await ended(started.id);
  expect(done.state).toBe("complete");
  expect(done.lastDecision?.because).toContain("1 away");
  expect(await desiredVersions([away!], "away")).toEqual([2]);
});

test("a node in quarantine does not hold a rollout, and finds the version when it is released", async () => {
  const nodes = await running("quarantine", 3);
  const [bad, ...good] = nodes;
  const started = await fleet.start("quarantine", 2, all, { test: "quarantine" });
  await Promise.all(good.map(node => node.follow()));
  await says(started.id, "not installed yet");
  await post(`/v1/nodes/${bad!.id}/quarantine`, { reason: "it behaves oddly" });
  expect((await ended(started.id)).state).toBe("complete");
  await fleet.admin.call("DELETE", `/v1/nodes/${bad!.id}/quarantine`);
  await until(
    () => desiredVersions([bad!], "quarantine").catch(() => [null]),
    ([version]) => version === 2,
  );
});

test("one that falls silent after it was told does hold it", async () => {
  const nodes = await running("silent", 3);
  const started = await fleet.start("silent", 2, all, { test: "silent" });
  const [silent, ...here] = nodes;
  await Promise.all(here.map(node => node.follow()));
  pass(10 * MINUTE);
  await Promise.all(here.map(node => node.report()));
  const held = await says(started.id, "not installed and not reporting");
  expect(held.lastDecision?.because).toContain(silent!.hostname);
  expect(held.state).toBe("running");
});
