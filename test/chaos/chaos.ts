/**
 * A rollout while everything is killed: nodes of several kinds speak the real contract with a real control plane, and
 * at each step of the rollout parts of it get a SIGKILL at moments that a seed draws. Afterwards what the nodes saw
 * is held against what PostgreSQL says, sentence by sentence (invariants.ts).
 */
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import { EnrolResponse } from "@picket/shared/contract";
import type { Address } from "../simulation/connection.ts";
import { drawKey, privateKey } from "../simulation/identity.ts";
import { type Behaviour, type Seen, SimulatedNode } from "../simulation/node.ts";
import { Pool } from "../simulation/pool.ts";
import { PARTS, type Part, pause, World } from "./world.ts";

export interface Options {
  seed: number;
  nodes: number;
  percents: readonly number[];
  /** How many kills at each step. */
  killsPerStep: number;
  say?: (line: string) => void;
  /** By when it must have converged. */
  mostMs: number;
}

export type Witnessed = Seen & { node: string; atMs: number };

export interface Outcome {
  world: World;
  rollout: string;
  nodes: SimulatedNode[];
  seen: Witnessed[];
  kills: { part: Part; step: number; atMs: number }[];
  /** Event ids that the control plane said are committed. */
  committed: string[];
  tookMs: number;
}

/** mulberry32: small, and the same on every machine. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const KINDS: Partial<Behaviour>[] = [
  {},
  { installMs: [200, 1_500] },
  { acknowledgementLost: 0.5 },
  { reportTwice: 0.5, reportLate: 0.3 },
  { flapMs: 2_000 },
  { clockAheadMs: 25_000 },
  { clockAheadMs: -240_000 },
];

export async function runChaos(options: Options): Promise<Outcome> {
  const { say = () => {} } = options;
  const random = chance(options.seed);
  const world = await World.start();
  const seen: Witnessed[] = [];
  const kills: Outcome["kills"] = [];
  const committed: string[] = [];
  await world.ask(HISTORY);
  const nodes = await enrolNodes(world, options.nodes, random, seen);
  const { privateKey: key } = generateKeyPairSync("ed25519");
  await world.call("POST", "/v1/release-keys", releaseKey(key));
  for (const version of [1, 2])
    await world.call("POST", "/v1/rule-sets/chaos/versions", signBundle(bundle(version), [key]));
  const startedMs = Date.now();
  for (const node of nodes) node.start();
  const started = await startRollout(world, options.percents);
  say(`seed ${options.seed}: rollout ${started} over ${options.nodes} nodes`);

  const uploads = uploadEvents(nodes, committed);
  let step = -1;
  let state = "running";
  const deadline = startedMs + options.mostMs;
  while (state === "running") {
    if (Date.now() > deadline) break;
    const [row] = await world.ask<{ state: string; step: number }>(
      "select state, step from rollouts where id = $1",
      [started],
    );
    state = row!.state;
    if (row!.step === step || state !== "running") {
      await pause(100);
      continue;
    }
    step = row!.step;
    for (let i = 0; i < options.killsPerStep; i++) {
      const part = PARTS[Math.floor(random() * PARTS.length)]!;
      await pause(random() * 800);
      say(`step ${step}: kill -9 ${part}`);
      kills.push({ part, step, atMs: Date.now() });
      await world.kill(part, random() * 1_500);
    }
  }
  await uploads.stop();
  await settle(nodes, deadline);
  for (const node of nodes) node.stop();
  await pause(300);
  const tookMs = Date.now() - startedMs;
  say(`${state} after ${(tookMs / 1_000).toFixed(1)} s, ${kills.length} kills, ${seen.length} things seen`);
  return { world, rollout: started, nodes, seen, kills, committed, tookMs };
}

/** Each assignment that ever was, and when it was acknowledged: the table itself keeps the last one only. */
const HISTORY = `
create table chaos_history as select node, id, generation, version, acknowledged_at from assignments;
create function chaos_remember() returns trigger language plpgsql as $$
begin
  insert into chaos_history values (new.node, new.id, new.generation, new.version, new.acknowledged_at);
  return new;
end $$;
create trigger chaos_remember after insert or update on assignments
  for each row execute function chaos_remember();`;

async function enrolNodes(
  world: World,
  count: number,
  random: () => number,
  seen: Witnessed[],
): Promise<SimulatedNode[]> {
  const { token } = await world.call<{ token: string }>("POST", "/v1/join-tokens", { usesMax: count });
  const api = new Pool([address(world.url("api"))], 8);
  const nodes: SimulatedNode[] = [];
  for (let i = 0; i < count; i++) {
    const key = drawKey();
    const { node } = EnrolResponse.parse(
      await world.call("POST", "/v1/enrol", {
        joinToken: token,
        publicKey: key.x,
        hostname: `chaos-${i}`,
        kernel: "6.18.0",
        agentVersion: "0.1.0",
      }),
    );
    nodes.push(
      new SimulatedNode({
        id: node,
        key: privateKey(key),
        ends: { gateway: address(world.url("gateway")), api },
        behaviour: {
          waitS: 10,
          reportEveryMs: 2_000,
          reconcileEveryMs: 3_000,
          ...KINDS[i % KINDS.length],
        },
        see: what => seen.push({ ...what, node, atMs: Date.now() }),
        random,
      }),
    );
  }
  return nodes;
}

async function startRollout(world: World, percents: readonly number[]): Promise<string> {
  const steps = percents.map(percent => ({ percent, soak: "500ms" }));
  const { id } = await world.call<{ id: string }>("POST", "/v1/rollouts", {
    ruleSet: "chaos",
    version: 2,
    steps,
    // Simulated nodes have no traffic to compare by: what holds here is installation and silence.
    gate: { compare: "off" },
  });
  return id;
}

/** Some nodes report detections all the while, as an agent does: again until they are committed. */
function uploadEvents(nodes: SimulatedNode[], committed: string[]): { stop(): Promise<void> } {
  let stopped = false;
  const loops = nodes.slice(0, 5).map(async node => {
    while (!stopped) {
      const event = statement();
      while (!(await node.events([event]))) await pause(200);
      committed.push(event.id);
      await pause(150);
    }
  });
  return {
    async stop() {
      stopped = true;
      await Promise.all(loops);
    },
  };
}

/** Until every node runs the version, or the time is over. */
async function settle(nodes: SimulatedNode[], deadlineMs: number): Promise<void> {
  const runs = (node: SimulatedNode) => node.installed.get("chaos")?.version === 2;
  while (!nodes.every(runs) && Date.now() < deadlineMs) await pause(100);
}

function bundle(version: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      format: 1,
      ruleSet: "chaos",
      version,
      ruleText:
        "apiVersion: picket/v1\nkind: RuleSet\nmetadata:\n  name: chaos\nspec:\n  thresholds:\n    lostEventsMax: 0\n",
      objects: { slot: "0".repeat(64) },
      abi: 1,
      kernelMin: "5.15",
      floor: 0,
      createdAt: "2026-01-01T00:00:00.000Z",
      expiresAt: "2036-01-01T00:00:00.000Z",
    }),
  );
}

function statement() {
  return {
    id: randomUUID() as string,
    at: new Date().toISOString(),
    priority: "P3",
    causalKey: "injection:shop:union-select",
    kind: "statement",
    verdict: "attack",
    action: "block",
    guarantee: "prevented",
    dialect: "mysql",
    message: "query",
    sql: "SELECT name FROM products WHERE id = ? UNION SELECT password FROM users",
    rules: ["union-select"],
    danger: ["union"],
    stage: "kernel",
    process: { pid: 4711, comm: "node", workload: "shop" },
    endpoints: { localAddress: "127.0.0.1", localPort: 40_000, remoteAddress: "127.0.0.1", remotePort: 3306 },
    connection: "1",
    wouldBlock: false,
    count: 1,
  };
}

const address = (url: string): Address => {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
};
