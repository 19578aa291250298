/**
 * One real agent follows a change of release keys, takes what two people have signed, refuses what a control plane that
 * was taken over gives it, says so, and has what was good before after a restart; then it changes its own key.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeDetails, RolloutDetails } from "@picket/shared/api";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { type Cgroup, makeCgroup } from "../harness/index.ts";

let controlPlane: ControlPlane;
let cgroup: Cgroup;
let agent: Agent;
const file = (name: string) => join(controlPlane.home, name);
const picket = <T>(...args: string[]) => controlPlane.picket<T>(...args);

beforeAll(async () => {
  controlPlane = await startControlPlane();
  for (const name of ["a", "b", "c"]) await picket("keys", "new", "--out", file(`${name}.pem`));
  await picket("keys", "register", "--key", file("a.pem"));
  const { token } = await picket<{ token: string }>("tokens", "create");
  cgroup = makeCgroup(`picket-test-trust-${process.pid}`);
  agent = await startAgent({
    cgroup: cgroup.path,
    env: { PICKET_URL: controlPlane.url, PICKET_JOIN_TOKEN: token },
  });
}, 180_000);
afterAll(async () => {
  await agent?.stop();
  await cgroup?.remove();
  if (agent) forget(agent);
  await controlPlane?.stop();
}, 60_000);

async function sign(version: number, key: string): Promise<string> {
  const [rules, out] = [file("trust.yaml"), file(`trust-rules-${version}.json`)];
  writeFileSync(
    rules,
    `apiVersion: picket/v1\nkind: RuleSet\nmetadata:\n  name: trust\n  description: version ${version}\nspec:\n  core: false\n`,
  );
  await picket("rules", "sign", rules, "--version", String(version), "--key", file(key), "--out", out);
  return out;
}

const start = (version: number) =>
  picket<RolloutDetails>("rollout", "start", `trust@${version}`, "--steps", "100%:0s");
const reaches = (id: string, state: string) =>
  eventually(
    async () => {
      const rollout = await controlPlane.api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
      return rollout.state === state ? rollout : undefined;
    },
    `the rollout is ${state}`,
    60_000,
  ).catch(async error => {
    const { state, lastDecision, nodesPlanned } = await controlPlane.api<RolloutDetails>(
      "GET",
      `/v1/rollouts/${id}`,
    );
    throw new Error(`${(error as Error).message}: ${JSON.stringify({ state, lastDecision, nodesPlanned })}`);
  });
async function node(): Promise<NodeDetails> {
  const { items } = await controlPlane.api<{ items: { id: string }[] }>("GET", "/v1/nodes");
  return controlPlane.api("GET", `/v1/nodes/${items[0]!.id}`);
}

test("a node follows its release keys, needs two signatures from then on, and outlives a restart", async () => {
  await picket("rules", "push", await sign(1, "a.pem"));
  await reaches((await start(1)).id, "complete");

  const root = file("root-1.json");
  const to = ["--to", file("b.pem"), "--to", file("c.pem"), "--threshold", "2"];
  const by = ["--sign", file("a.pem"), "--sign", file("b.pem")];
  await picket("keys", "rotate", "--version", "1", ...to, ...by, "--out", root);
  await expect(picket("keys", "publish", root)).rejects.toThrow(/1 of the 2 signatures/);
  await picket("keys", "cosign", root, "--key", file("c.pem"));
  await picket("keys", "publish", root);

  const second = await sign(2, "b.pem");
  await expect(picket("rules", "push", second)).rejects.toThrow(/1 of the 2 signatures/);
  await picket("rules", "countersign", second, "--key", file("c.pem"));
  await picket("rules", "push", second);
  // It hears of the new keys by what it cannot verify with the old ones.
  await reaches((await start(2)).id, "complete");
  expect(
    (await eventually(async () => ((await node()).trust === 1 ? await node() : undefined), "told")).trust,
  ).toBe(1);

  // What version 2 was signed by still counts; version 1's key does not, and no enforcement ends by it.
  await agent.stop();
  agent = await startAgent({
    cgroup: cgroup.path,
    state: agent.state,
    instance: agent.instance,
    env: { PICKET_URL: controlPlane.url },
  });
  expect((await agent.status()).report.installed).toMatchObject([{ kind: "active", version: 2 }]);
}, 240_000);

test("a control plane that was taken over cannot make a node take what too few have signed, and the fleet view says why", async () => {
  const third = await sign(3, "b.pem");
  await picket("rules", "countersign", third, "--key", file("c.pem"));
  await picket("rules", "push", third);
  const database = new pg.Client({ connectionString: controlPlane.databaseUrl });
  await database.connect();
  try {
    await database.query(
      "update rule_versions set envelope = jsonb_set(envelope, '{signatures}', jsonb_build_array(envelope -> 'signatures' -> 0)) where version = 3",
    );
  } finally {
    await database.end();
  }
  const { id } = await start(3);
  const seen = await eventually(
    async () => (await node()).installed.find(one => one.kind === "kept-last-good"),
    "the refusal is told",
    60_000,
  );
  expect(seen).toMatchObject({
    version: 2,
    refused: 3,
    because: { code: "too-few-signatures", detail: expect.stringContaining("1 of the 2 signatures") },
  });
  const { nodesPlanned } = await controlPlane.api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
  expect(nodesPlanned[0]).toMatchObject({ detail: expect.stringContaining("1 of the 2 signatures") });
}, 120_000);

test("a node changes its own key when it is told to, and goes on reporting", async () => {
  const before = await node();
  const { publicKey } = await agent.call<{ publicKey: string }>("POST", "/v1/rotate-key", {});
  expect(publicKey).toMatch(/^[\w-]{43}$/);
  await eventually(
    async () => {
      const after = await node();
      return Date.parse(after.keySince) > Date.parse(before.keySince) &&
        Date.parse(after.lastSeenAt!) > Date.parse(after.keySince)
        ? true
        : undefined;
    },
    "it reports with the new key",
    60_000,
  );
}, 90_000);
