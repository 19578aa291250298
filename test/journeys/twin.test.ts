/**
 * A twin through the control plane, on real MariaDB and PostgreSQL: a candidate that would block an honest statement
 * and let an attack pass that is stopped now runs beside the stable version; both differences are told with their
 * counts, the gate asks a person, and nothing but the stable version enforces, also after the agent was killed.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Node as NodeRow, Rollout, RolloutDetails } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { type Node, startNode } from "../harness/node.ts";
import { runStatements } from "./run-statements.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const HONEST = (id: number) => `SELECT name FROM picket_users WHERE id = ${id}`;
const ATTACK = "SELECT name FROM picket_users WHERE id = 0 UNION SELECT secret FROM picket_secrets";
const RULES = {
  1: `{ id: no-secrets, action: block, sql: "${ATTACK}" }`,
  2: `{ id: no-names, action: block, sql: "${HONEST(1)}" }
    - { id: secrets-report, action: allow, sql: "${ATTACK}" }`,
};
const DIALECTS = ["mysql", "pg"] as const;

let controlPlane: ControlPlane;
let node: Node;
const servers: Partial<Record<"mysql" | "pg", Awaited<ReturnType<typeof startMariaDB>>>> = {};

beforeAll(async () => {
  servers.mysql = await startMariaDB({ database: DATABASE });
  servers.pg = await startPostgreSQL({ database: DATABASE });
  for (const dialect of DIALECTS) await servers[dialect]!.exec(SCHEMA[dialect]);
  controlPlane = await startControlPlane();
  const { home, picket } = controlPlane;
  await picket("keys", "new");
  await picket("keys", "register");
  const { token } = await picket<{ token: string }>("tokens", "create", "--uses", "1");
  node = await startNode({
    controlPlane,
    joinToken: token,
    hostname: "twin",
    env: { PICKET_TWIN_INTERVAL: "1s" },
  });
  for (const version of [1, 2] as const) {
    const [file, bundle] = [join(home, `twin-${version}.yaml`), join(home, `twin-${version}.json`)];
    writeFileSync(
      file,
      `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: twin }\nspec:\n  shapes:\n    - ${RULES[version]}\n`,
    );
    await picket("rules", "sign", file, "--version", String(version), "--out", bundle);
    await picket("rules", "push", bundle);
  }
  const { id } = await picket<Rollout>("rollout", "start", "twin@1", "--steps", "100%:1s");
  await eventually(async () => (await show(id)).state === "complete", "version 1 is stable", 60_000);
}, 240_000);

afterAll(async () => {
  await node?.remove();
  for (const server of Object.values(servers)) await server?.stop();
  await controlPlane?.stop();
}, 120_000);

const show = (id: string) => controlPlane.api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
const send = (dialect: "mysql" | "pg", statements: string[]) =>
  runStatements({
    cgroup: node.cgroup.path,
    server: servers[dialect]!,
    dialect,
    protocol: "text",
    database: DATABASE,
    statements,
  });
const honest = (times: number) => Array.from({ length: times }, (_, i) => HONEST(i + 1));
const found = (id: string, fits: (twin: NonNullable<RolloutDetails["twin"]>) => boolean, why: string) =>
  eventually(async () => {
    const { twin } = await show(id);
    return twin && fits(twin) ? twin : undefined;
  }, why);
const picketText = async (...args: string[]) => {
  const { url, token, home } = controlPlane;
  const bin = new URL("../../packages/cli/bin/picket.mjs", import.meta.url).pathname;
  const env = { ...process.env, PICKET_URL: url, PICKET_TOKEN: token, XDG_CONFIG_HOME: home };
  return (await promisify(execFile)(process.execPath, [bin, ...args], { env, cwd: home })).stdout;
};
const enforces = async (dialect: "mysql" | "pg", attacks: number, honestOnes: number) => {
  const results = await send(dialect, [
    ...Array.from({ length: attacks }, () => ATTACK),
    ...honest(honestOnes),
  ]);
  return results.map(({ error }) => error?.message.includes("Picket blocked: no-secrets") === true);
};

test("both differences are told with their counts, a person is asked, and only what is stable enforces, over a kill -9 too", async () => {
  // Known to the kernel before the twin begins.
  for (const dialect of DIALECTS) await send(dialect, [...honest(12), ATTACK]);
  const { id } = await controlPlane.picket<Rollout>(
    "rollout",
    "start",
    "twin@2",
    "--twin",
    "--steps",
    "100%:20s",
    "--compare",
    "available",
  );
  await eventually(async () => (await show(id)).nodes.installed === 1, "the twin runs", 60_000);
  for (const dialect of DIALECTS)
    expect(await enforces(dialect, 2, 10)).toEqual([true, true, ...Array.from({ length: 10 }, () => false)]);
  const twin = await found(
    id,
    ({ wouldBlock, wouldPass }) => wouldBlock >= 20 && wouldPass >= 4,
    "all is told",
  );
  expect(twin).toMatchObject({ nodes: 1, wouldBlock: 20, wouldPass: 4 });
  const counts = (kind: string) =>
    twin.differences
      .filter(each => each.kind === kind)
      .map(({ dialect, count }) => [dialect, count])
      .sort();
  expect(counts("would-block")).toEqual([
    ["mysql", 10],
    ["pg", 10],
  ]);
  expect(counts("would-pass")).toEqual([
    ["mysql", 2],
    ["pg", 2],
  ]);
  expect(JSON.stringify(twin)).not.toContain("id = 1");

  const asked = await eventually(async () => {
    const details = await show(id);
    return details.asks ? details : undefined;
  }, "the gate asks");
  expect(asked.asks!.because).toContain("the twin would block");
  expect(await picketText("rollout", "status", id)).toContain("would block 20");
  expect(await picketText("rollout", "explain", id)).toContain("statements that the twin would block");
  const { items } = await controlPlane.api<{ items: NodeRow[] }>("GET", "/v1/nodes");
  expect(items[0]!.installed).toContainEqual(expect.objectContaining({ version: 2, twin: { beside: 1 } }));

  // Its kernel programs go on; the twin comes back with the agent, and what it had found stays.
  await node.agent.kill();
  expect(await enforces("mysql", 1, 3)).toEqual([true, false, false, false]);
  await node.startAgain();
  await eventually(async () => {
    const status = await node.agent.status();
    return status.report.installed.some(each => each.kind === "active" && each.twin?.beside === 1);
  }, "the twin is back");
  expect(await enforces("pg", 1, 5)).toEqual([true, false, false, false, false, false]);
  const later = await found(id, ({ wouldPass }) => wouldPass >= 5, "what came after is added");
  expect(later.compared).toBeLessThanOrEqual(later.statements);

  await controlPlane.picket("rollout", "approve", id);
  await eventually(async () => (await show(id)).state === "complete", "it is complete");
  await eventually(async () => {
    const status = await node.agent.status();
    return status.report.installed.every(each => each.kind === "active" && each.version === 1 && !each.twin);
  }, "nothing of it is left");
  expect(await enforces("mysql", 1, 1)).toEqual([true, false]);
}, 240_000);
