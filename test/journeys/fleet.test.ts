/**
 * Five agents in five cgroups of this host: a new version reaches one of them (20 %), then all, and then a roll
 * back returns them. Which version judged each statement is what the application felt and what the detection
 * says.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Rollout, RolloutDetails } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { type Cgroup, makeCgroup, startMariaDB } from "../harness/index.ts";
import { joinCgroup } from "../harness/join-cgroup.ts";
import { comQuery, RawMySql } from "./raw.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const NODES = 5;
const UNION = "SELECT id, name FROM picket_users WHERE id = 7 UNION SELECT id, secret FROM picket_secrets";
const rules = (action: "alert" | "block") => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: fleet
spec:
  core: false
  shapes:
    - id: union-secrets
      action: ${action}
      dialects: [mysql]
      sql: SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT id, secret FROM picket_secrets
`;

type Node = { cgroup: Cgroup; agent: Agent; client: RawMySql };
let controlPlane: ControlPlane;
let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
const nodes: Node[] = [];

beforeAll(async () => {
  [controlPlane, mariadb] = await Promise.all([startControlPlane(), startMariaDB({ database: DATABASE })]);
  await mariadb.exec(SCHEMA.mysql);
  await controlPlane.picket("keys", "new");
  await controlPlane.picket("keys", "register");
  for (const [version, action] of [
    [1, "alert"],
    [2, "block"],
  ] as const) {
    const file = join(controlPlane.home, `fleet-${version}.yaml`);
    const bundle = join(controlPlane.home, `fleet-${version}.bundle.json`);
    writeFileSync(file, rules(action));
    await controlPlane.picket("rules", "sign", file, "--version", String(version), "--out", bundle);
    await controlPlane.picket("rules", "push", bundle);
  }
  const { token } = await controlPlane.picket<{ token: string }>("tokens", "create", "--uses", String(NODES));
  for (let i = 0; i < NODES; i++) {
    const cgroup = makeCgroup(`picket-test-fleet-${process.pid}-${i}`);
    const agent = await startAgent({
      cgroup: cgroup.path,
      env: { PICKET_URL: controlPlane.url, PICKET_JOIN_TOKEN: token, PICKET_LABELS: `number=${i}` },
    });
    await agent.guard(cgroup.path);
    const leave = joinCgroup(cgroup.path);
    const client = await RawMySql.connect(mariadb.port, "raw", DATABASE);
    leave();
    nodes.push({ cgroup, agent, client });
  }
}, 180_000);

afterAll(async () => {
  for (const { client, agent, cgroup } of nodes) {
    client.close();
    await agent.stop();
    await cgroup.remove();
    forget(agent);
  }
  await mariadb?.stop();
  await controlPlane?.stop();
}, 120_000);

/** What the attack met on each node: the version that judged it, and what the application felt. */
async function attackAll(): Promise<{ version: number; blocked: boolean }[]> {
  const met = [];
  for (const { client, agent } of nodes) {
    const known = (await agent.detections()).length;
    await client.send(comQuery(UNION));
    const answer = await client.answer();
    const detection = await eventually(
      async () => (await agent.detections()).slice(known).find(d => d.kind === "statement"),
      "the attack is detected",
    );
    if (detection.kind !== "statement") throw new Error("not a statement");
    expect(detection.guarantee).toBe(answer.ok ? "observed" : "prevented");
    met.push({ version: Number(detection.version), blocked: !answer.ok });
  }
  return met;
}

const rollout = (id: string) => controlPlane.api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
const until = (id: string, fits: (rollout: RolloutDetails) => boolean, why: string) =>
  eventually(
    async () => {
      const now = await rollout(id);
      return fits(now) ? now : undefined;
    },
    why,
    60_000,
  ).catch(async error => {
    throw new Error(`${(error as Error).message}\n${JSON.stringify(await rollout(id), null, 2)}`);
  });

const judgedBy = (version: number, blocked: boolean) =>
  Array.from({ length: NODES }, () => ({ version, blocked }));

test("20 %, then 100 %, then a roll back: each statement is judged by the version that its node has", async () => {
  const first = await controlPlane.picket<Rollout>("rollout", "start", "fleet@1", "--steps", "100%:1s");
  await until(first.id, r => r.state === "complete", "version 1 is everywhere");
  expect(await attackAll()).toEqual(judgedBy(1, false));

  const second = await controlPlane.picket<Rollout>(
    "rollout",
    "start",
    "fleet@2",
    "--steps",
    "20%:3s,100%:1s",
  );
  const canary = await until(second.id, r => r.nodes.installed === 1, "the canary has version 2");
  await controlPlane.picket("rollout", "pause", second.id);
  expect(canary.nodesPlanned.filter(node => node.step === 0)).toHaveLength(1);
  const met = await attackAll();
  expect(met.filter(one => one.version === 2)).toEqual([{ version: 2, blocked: true }]);
  expect(met.filter(one => one.version === 1)).toHaveLength(NODES - 1);
  expect(met.filter(one => one.version === 1 && one.blocked)).toEqual([]);

  await controlPlane.picket("rollout", "resume", second.id);
  await until(second.id, r => r.state === "complete", "version 2 is everywhere");
  expect(await attackAll()).toEqual(judgedBy(2, true));

  await controlPlane.picket("rollout", "rollback", second.id);
  await until(second.id, r => r.state === "rolled-back", "version 1 is back");
  expect(await attackAll()).toEqual(judgedBy(1, false));
}, 240_000);

test("every node reports no event lost, and what was uploaded arrives once", async () => {
  for (const { agent } of nodes) {
    const { report } = await agent.status();
    expect(report.events.lost).toBe(0);
    expect(report.events.emitted).toBe(report.events.received);
  }
  await eventually(async () => {
    const { items } = await controlPlane.api<{ items: { detection: { kind: string } }[] }>(
      "GET",
      "/v1/detections?limit=500",
    );
    return items.filter(row => row.detection.kind === "statement").length >= 4 * NODES || undefined;
  }, "the four attacks on each node are stored");
});
