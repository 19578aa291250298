/**
 * Fleet immunity: `npm run bench -- immunity [--nodes=50] [--agents=5] [--rounds=20]`. How long from the moment in
 * which an agent has judged an injection that it held until the last node of the fleet has answered that it denies it.
 * Of the nodes, `agents` are real ones, each with its programs in a cgroup of its own, which judge the shape again and
 * write their kernel's map before they answer; the others are simulated: they hold a long poll, read, verify the
 * signature and answer. All of it, control plane and databases included, shares this host's cores. Both times are this
 * host's clock: the judgement's as the agent claims it, the answer's when the control plane has it.
 */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lex } from "@picket/native/lexer";
import type { Rollout, SharedVerdictDetails, SharedVerdictRow } from "@picket/shared/api";
import type { Bundle } from "@picket/shared/bundle-format";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { startControlPlane } from "../harness/control-plane.ts";
import { type Cgroup, makeCgroup, startMariaDB } from "../harness/index.ts";
import { runStatements } from "../journeys/run-statements.ts";
import { DATABASE, SCHEMA } from "../journeys/shop-rules.ts";
import { drawKey, privateKey } from "../simulation/identity.ts";
import { SimulatedNode } from "../simulation/node.ts";
import { Pool } from "../simulation/pool.ts";

const RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: immune
spec:
  core: true
`;

const flag = (name: string, otherwise: number): number =>
  Number(process.argv.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);

export async function run({ json = false } = {}): Promise<Record<string, unknown>> {
  const [nodes, agentsWanted, rounds] = [flag("nodes", 50), flag("agents", 5), flag("rounds", 20)];
  const online = generateKeyPairSync("ed25519").privateKey;
  const mariadb = await startMariaDB({ database: DATABASE });
  await mariadb.exec(SCHEMA.mysql);
  const controlPlane = await startControlPlane({
    PICKET_SHARING_KEY: online.export({ type: "pkcs8", format: "pem" }).toString(),
  });
  const { home, picket, api } = controlPlane;
  const real: { agent: Agent; cgroup: Cgroup }[] = [];
  const simulated: SimulatedNode[] = [];
  const { hostname, port } = new URL(controlPlane.url);
  const address = { host: hostname, port: Number(port) };
  const pool = new Pool([address], 8);
  try {
    await picket("keys", "new");
    await picket("keys", "register");
    const [file, publicFile, bundleFile] = ["immune.yaml", "sharing.pub.pem", "bundle.json"].map(name =>
      join(home, name),
    );
    writeFileSync(file!, RULES);
    writeFileSync(publicFile!, createPublicKey(online).export({ type: "spki", format: "pem" }));
    const bounds = ["--share-max", "1000", "--share-node-max", "1000", "--share-hour-max", "1000"];
    await picket(
      "rules",
      "sign",
      file!,
      "--version",
      "1",
      "--delegate",
      publicFile!,
      ...bounds,
      "--out",
      bundleFile!,
    );
    await picket("rules", "push", bundleFile!);
    const { payload } = JSON.parse(readFileSync(bundleFile!, "utf8")) as { payload: string };
    const { delegation } = JSON.parse(Buffer.from(payload, "base64").toString()) as Bundle;
    const { token } = await picket<{ token: string }>("tokens", "create", "--uses", String(nodes));
    for (let i = 0; i < agentsWanted; i++) {
      const cgroup = makeCgroup(`picket-bench-immunity-${process.pid}-${i}`);
      const env = { PICKET_URL: controlPlane.url, PICKET_JOIN_TOKEN: token, PICKET_HOSTNAME: `real-${i}` };
      const agent = await startAgent({
        cgroup: cgroup.path,
        env,
        instance: `bench-immunity-${process.pid}-${i}`,
      });
      real.push({ agent, cgroup });
      await agent.guard(cgroup.path);
    }
    const rollout = await picket<Rollout>("rollout", "start", "immune@1", "--steps", "100%:1s");
    const state = async () => (await api<Rollout>("GET", `/v1/rollouts/${rollout.id}`)).state;
    await eventually(async () => (await state()) === "complete", "the rules are everywhere", 120_000);
    for (let i = agentsWanted; i < nodes; i++) {
      const key = drawKey();
      const body = {
        joinToken: token,
        publicKey: key.x,
        hostname: `simulated-${i}`,
        kernel: "6.18.0",
        agentVersion: "0.1.0",
      };
      const enrolled = await fetch(`${controlPlane.url}/v1/enrol`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const { node } = (await enrolled.json()) as { node: string };
      const ends = { gateway: address, api: pool };
      simulated.push(new SimulatedNode({ id: node, key: privateKey(key), delegations: [delegation!], ends }));
    }
    for (const node of simulated) node.start();

    const times: { issued: number; half: number; lastReal: number; last: number }[] = [];
    for (let round = -2; round < rounds; round++) {
      const sql = `SELECT id, name AS r${"abcdefghij"[(round + 20) % 10]}${round + 2} FROM picket_users WHERE id = 1 UNION SELECT 1, secret FROM picket_secrets -- `;
      const [got] = await runStatements({
        cgroup: real[0]!.cgroup.path,
        server: mariadb,
        dialect: "mysql",
        protocol: "text",
        database: DATABASE,
        statements: [sql],
      });
      if (!got?.error?.message.includes("Picket blocked"))
        throw new Error(`it was not held: ${JSON.stringify(got)}`);
      const digest = lex(Buffer.from(sql), { dialect: "mysql" }).shapeSha256;
      const { id } = await eventually(async () => {
        const { items } = await api<{ items: SharedVerdictRow[] }>("GET", "/v1/immunity/verdicts?limit=5");
        return items.find(({ shape, believed }) => shape === digest && believed === nodes);
      }, `all ${nodes} believe it`);
      // The first rounds load what is loaded once.
      if (round < 0) continue;
      const details = await api<SharedVerdictDetails>("GET", `/v1/immunity/verdicts/${id}`);
      const fromMs = Date.parse(details.judgedAt);
      const after = (at: string) => Date.parse(at) - fromMs;
      const answers = details.nodes.map(({ hostname, at }) => ({
        real: hostname.startsWith("real"),
        ms: after(at),
      }));
      const sorted = answers.map(({ ms }) => ms).toSorted((a, b) => a - b);
      times.push({
        issued: after(details.issuedAt!),
        half: sorted[Math.floor(sorted.length / 2)]!,
        lastReal: Math.max(...answers.filter(each => each.real).map(({ ms }) => ms)),
        last: sorted.at(-1)!,
      });
    }
    const of = (which: keyof (typeof times)[number]) => {
      const sorted = times.map(time => time[which]).toSorted((a, b) => a - b);
      return { p50: sorted[Math.floor(sorted.length / 2)]!, max: sorted.at(-1)! };
    };
    const ms = { issued: of("issued"), half: of("half"), lastReal: of("lastReal"), last: of("last") };
    if (!json) {
      console.log(
        `${nodes} nodes, ${agentsWanted} of them agents with kernel maps, ${rounds} injections; ms from the first judgement:`,
      );
      for (const [what, { p50, max }] of Object.entries(ms))
        console.log(`  ${what.padEnd(9)} p50 ${String(p50).padStart(5)}   most ${String(max).padStart(5)}`);
    }
    return { name: "immunity", nodes, agents: agentsWanted, rounds, ms };
  } finally {
    for (const node of simulated) node.stop();
    pool.close();
    for (const { agent, cgroup } of real) {
      await agent.stop();
      await cgroup.remove();
      forget(agent);
    }
    await mariadb.stop();
    await controlPlane.stop();
  }
}
