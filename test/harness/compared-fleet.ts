/**
 * A fleet small enough for one host in which the gate has something to compare: real agents, each guarding a client
 * that asks a real database all the time, among simulated nodes that speak the contract over real sockets and report
 * very little traffic, so that what is found is found on the real ones. Two versions do harm that a rule set can really do: one slows the database, since every use
 * of the shop's own statement is held and judged anew; one blocks what the shop asks.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Node as NodeRow, Rollout, RolloutDetails } from "@picket/shared/api";
import { comQuery, RawMySql } from "../journeys/raw.ts";
import { DATABASE, SCHEMA } from "../journeys/shop-rules.ts";
import { drawKey, privateKey } from "../simulation/identity.ts";
import { SimulatedNode } from "../simulation/node.ts";
import { Pool } from "../simulation/pool.ts";
import { eventually } from "./agent.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { startMariaDB } from "./index.ts";
import { joinCgroup } from "./join-cgroup.ts";
import { type Node, startNode } from "./node.ts";

const REAL = 6;
const SIMULATED = 24;
/** Fewer real canaries would show what is wrong with a node, not with the version. */
const REAL_CANARIES = [3, 4];
const CLIENTS = 2;
/** Of one client, at most. */
const PER_SECOND = 200;
const BATCH = 20;
/** One statement in so many lists the names. */
const LISTS = 20;

const RULE_SET = (spec: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: shop
spec:
  core: false
${spec}`;
const VERSIONS = {
  1: RULE_SET(""),
  /** An exception for a user is about the connection: no verdict on the statement can be kept by its shape. */
  2: RULE_SET(`  rules:
    - id: users-table
      title: Somebody but the shop reads the users
      severity: medium
      action: alert
      match: { except: { user: raw } }
      regex: "from (\\\\w+_)?users\\\\b"
      reason: Only the shop does.
`),
  3: RULE_SET(`  shapes:
    - id: all-names
      action: block
      dialects: [mysql]
      sql: SELECT id, name FROM picket_users ORDER BY id LIMIT 1
`),
};

type ComparedFleet = {
  readonly controlPlane: ControlPlane;
  readonly nodes: readonly Node[];
  /** Of the real ones, by their id. */
  readonly real: ReadonlySet<string>;
  rollout(id: string): Promise<RolloutDetails>;
  /** Begins on half of all nodes, three or four of the real ones among them. */
  start(version: number): Promise<string>;
  stop(): Promise<void>;
};

export async function startComparedFleet(): Promise<ComparedFleet> {
  const undo: (() => unknown)[] = [];
  const stop = async () => {
    for (const each of undo.splice(0).reverse()) await each();
  };
  try {
    return { ...(await start(undo)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(undo: (() => unknown)[]): Promise<Omit<ComparedFleet, "stop">> {
  const mariadb = await startMariaDB({ database: DATABASE });
  undo.push(() => mariadb.stop());
  await mariadb.exec(SCHEMA.mysql);
  const controlPlane = await startControlPlane();
  undo.push(() => controlPlane.stop());
  const { picket, api, home } = controlPlane;
  await picket("keys", "new");
  await picket("keys", "register");
  for (const [version, text] of Object.entries(VERSIONS)) {
    const [file, bundle] = [join(home, `shop-${version}.yaml`), join(home, `shop-${version}.bundle.json`)];
    writeFileSync(file, text);
    await picket("rules", "sign", file, "--version", version, "--out", bundle);
    await picket("rules", "push", bundle);
  }
  const { token } = await picket<{ token: string }>("tokens", "create", "--uses", String(REAL + SIMULATED));

  const nodes: Node[] = [];
  for (let i = 0; i < REAL; i++) {
    const node = await startNode({ controlPlane, joinToken: token, hostname: `real-${i}` });
    nodes.push(node);
    undo.push(() => node.remove());
    for (let client = 0; client < CLIENTS; client++) undo.push(await keepAsking(node, mariadb.port));
  }
  const simulated = await simulate(controlPlane, token);
  undo.push(() => {
    for (const node of simulated) node.stop();
  });

  const rollout = (id: string) => api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
  const first = await picket<Rollout>("rollout", "start", "shop@1", "--steps", "100%:1s", "--compare", "off");
  const complete = async () => (await rollout(first.id)).state === "complete" || undefined;
  await eventually(complete, "version 1 is everywhere", 120_000);
  const { items } = await api<{ items: NodeRow[] }>("GET", "/v1/nodes?limit=200");
  const real = new Set(
    items.filter(({ hostname }) => hostname.startsWith("real-")).map(({ id }) => id as string),
  );
  return {
    controlPlane,
    nodes,
    real,
    rollout,
    async start(version) {
      for (;;) {
        // It says whom it takes before it begins.
        const { id } = await picket<Rollout>(
          ...["rollout", "start", `shop@${version}`, "--steps", "50%:10m:approve,100%:10m"],
          ...["--compare", "required"],
        );
        const { nodesPlanned } = await rollout(id);
        const canaries = nodesPlanned.filter(({ step, node }) => step === 0 && real.has(node)).length;
        if (REAL_CANARIES.includes(canaries)) {
          await picket("rollout", "approve", id);
          return id;
        }
        await picket("rollout", "abort", id);
      }
    },
  };
}

/** Until it is called: the client of one node asks, in small batches. */
async function keepAsking(node: Node, port: number): Promise<() => Promise<void>> {
  const leave = joinCgroup(node.cgroup.path);
  const client = await RawMySql.connect(port, "raw", DATABASE);
  leave();
  let asking = true;
  const asked = (async () => {
    for (let i = 0; asking; i++) {
      const list = `SELECT id, name FROM picket_users ORDER BY id LIMIT ${(i % 9) + 1}`;
      await client.send(comQuery(i % LISTS === 0 ? list : `SELECT name FROM picket_users WHERE id = ${i}`));
      await client.answer();
      if (i % BATCH === 0) await new Promise(resolve => setTimeout(resolve, (1_000 * BATCH) / PER_SECOND));
    }
  })();
  return async () => {
    asking = false;
    await asked;
    client.close();
  };
}

async function simulate({ url }: ControlPlane, joinToken: string): Promise<SimulatedNode[]> {
  const { hostname: host, port } = new URL(url);
  const address = { host, port: Number(port) };
  const pool = new Pool([address], 4);
  const nodes: SimulatedNode[] = [];
  for (let i = 0; i < SIMULATED; i++) {
    const key = drawKey();
    const answer = await fetch(`${url}/v1/enrol`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        joinToken,
        publicKey: key.x,
        hostname: `simulated-${i}`,
        kernel: "6.18.0",
        agentVersion: "0.1.0",
      }),
    });
    const { node } = (await answer.json()) as { node: string };
    const behaviour = { reportEveryMs: 10_000, statementsPerSecond: 1 };
    nodes.push(
      new SimulatedNode({ id: node, key: privateKey(key), ends: { gateway: address, api: pool }, behaviour }),
    );
  }
  for (const node of nodes) node.start();
  return nodes;
}
