/**
 * The gate on what nodes report, over real HTTP, PostgreSQL and Redis: minutes pass by a clock that the test moves, and
 * in each of them every node reports what it counted.
 */
import type { DecisionDetails, RolloutDetails } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";
import { type Behaviour, Host, usual } from "./host.ts";

let stores: Stores;
let fleet: Fleet;
let aheadMs = 0;
const MINUTE = 60_000;
const NODES = 24;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, {}, { clock: () => Date.now() + aheadMs });
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

async function hostsRunning(name: string, tells = true): Promise<Host[]> {
  const hosts: Host[] = [];
  for (let i = 0; i < NODES; i++)
    hosts.push(new Host(await fleet.join(`${name}-${i}`, { test: name }), name, i));
  for (const { node } of hosts) node.aheadMs = aheadMs;
  await fleet.push(name, 1);
  await fleet.push(name, 2);
  const first = await fleet.start(name, 1, [{ percent: 100 }], { test: name }, { gate: { compare: "off" } });
  await Promise.all(hosts.map(({ node }) => node.follow()));
  await until(
    () => fleet.rollout(first.id),
    ({ state }) => state === "complete",
  );
  for (let minute = 0; minute < 12; minute++) await minutePasses(hosts, () => usual, tells);
  return hosts;
}

async function minutePasses(hosts: Host[], behaves: (host: Host) => Behaviour, tells = true): Promise<void> {
  aheadMs += MINUTE;
  await Promise.all(hosts.map(host => host.live(behaves(host), { tells, aheadMs })));
}

const canariesOf = (hosts: Host[], { nodesPlanned }: RolloutDetails) =>
  hosts.filter(({ node }) => nodesPlanned.some(each => each.node === node.id && each.step === 0));

/** Starts version 2 on a third of the hosts; when it answers, the comparison has begun. */
async function canary(name: string, hosts: Host[]): Promise<{ id: string; canaries: Set<Host> }> {
  const started = await fleet.start(
    name,
    2,
    [
      { percent: 33, soak: "10m" },
      { percent: 100, soak: "10m" },
    ],
    { test: name },
  );
  expect(started.gate.compare).toBe("required");
  const canaries = canariesOf(hosts, started);
  expect(canaries.length).toBeGreaterThanOrEqual(6);
  await Promise.all(canaries.map(({ node }) => node.follow()));
  await until(
    () => fleet.rollout(started.id),
    ({ lastDecision }) => lastDecision?.because === "soaking",
  );
  return { id: started.id, canaries: new Set(canaries) };
}

const explain = (id: string, decision: number) =>
  fleet.admin.call<DecisionDetails>("GET", `/v1/rollouts/${id}/decisions/${decision}`);

test("a version that makes the database fail rolls itself back long before the soak is over, and says why", async () => {
  const hosts = await hostsRunning("errs");
  const { id, canaries } = await canary("errs", hosts);
  let minutes = 0;
  const stopped = await until(
    async () => {
      minutes += 1;
      await minutePasses(hosts, host => (canaries.has(host) ? { ...usual, errors: 60 } : usual));
      await new Promise(resolve => setTimeout(resolve, 500));
      return fleet.rollout(id);
    },
    ({ state }) => state !== "running",
  );
  expect(minutes).toBeLessThan(10);
  expect(stopped.state).toMatch(/^roll/);
  const decision = stopped.decisions.find(({ kind }) => kind === "roll-back")!;
  expect(decision.because).toMatch(
    /^the canary is worse: database errors per response 0\.\d+ %, elsewhere 0\.\d+ %/,
  );
  expect(decision.signals!.filter(({ finding }) => finding === "worse").map(({ signal }) => signal)).toEqual([
    "database-errors",
  ]);
  const explained = await explain(id, decision.id);
  expect(explained.replayed).toEqual({ kind: "roll-back", because: decision.because, same: true });
  expect(explained.evidence).toMatchObject({ step: 0, settings: { compare: "required", alpha: 0.01 } });

  await Promise.all([...canaries].map(({ node }) => node.follow()));
  const back = await until(
    () => fleet.rollout(id),
    ({ state }) => state === "rolled-back",
  );
  expect(back.nodes).toMatchObject({ reached: canaries.size, installed: canaries.size });
  const versions = await Promise.all(hosts.map(async ({ node }) => (await node.desired())[0]!.version));
  expect(new Set(versions)).toEqual(new Set([1]));
  // Every decision is replayed alike, the waits before it, too.
  for (const { id: each, signals } of back.decisions) {
    const { replayed, evidence } = await explain(id, each);
    if (evidence !== null) expect([signals?.length, replayed?.same]).toEqual([signals?.length, true]);
  }
});

test("a version that changes nothing advances when the soak is over, with what was compared", async () => {
  const hosts = await hostsRunning("calm");
  const { id } = await canary("calm", hosts);
  for (let minute = 0; minute < 9; minute++) {
    await minutePasses(hosts, () => usual);
    expect(await fleet.rollout(id)).toMatchObject({ state: "running", step: 0 });
  }
  const advanced = await until(
    async () => {
      await minutePasses(hosts, () => usual);
      await new Promise(resolve => setTimeout(resolve, 400));
      return fleet.rollout(id);
    },
    ({ step }) => step === 1,
  );
  const decision = advanced.decisions.find(({ kind }) => kind === "advance")!;
  expect(decision.because).toContain("no signal of 9 is worse than without it");
  expect(decision.signals!.every(({ finding }) => finding === "fine")).toBe(true);
});

test("responses that nobody tells hold it, and after a while a person is asked", async () => {
  const hosts = await hostsRunning("mute", false);
  const { id } = await canary("mute", hosts);
  const held = await until(
    async () => {
      await minutePasses(hosts, () => usual, false);
      await new Promise(resolve => setTimeout(resolve, 400));
      return fleet.rollout(id);
    },
    ({ lastDecision }) => lastDecision?.because.startsWith("inconclusive") ?? false,
  );
  expect(held.lastDecision!.because).toContain("no data on database errors per response");
  expect(held.asks).toBeNull();
  aheadMs += 61 * MINUTE;
  const asking = await until(
    async () => {
      await minutePasses(hosts, () => usual, false);
      await new Promise(resolve => setTimeout(resolve, 400));
      return fleet.rollout(id);
    },
    ({ asks }) => asks !== null,
  );
  expect(asking).toMatchObject({ state: "running", step: 0 });
  await fleet.admin.call("POST", `/v1/rollouts/${id}/approve`);
  expect(await fleet.rollout(id)).toMatchObject({ step: 1 });
});
