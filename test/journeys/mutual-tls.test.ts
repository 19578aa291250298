/** An agent with a certificate enrols, waits at the gateway and gets its rules over TLS; one without is not heard. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutDetails } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { makeCertificate } from "../harness/index.ts";
import { type Node, startNode } from "../harness/node.ts";

const files = mkdtempSync(join(tmpdir(), "picket-mutual-tls-"));
const nodes: Node[] = [];
let controlPlane: ControlPlane;
let env: Record<string, string>;
const picket = <T>(...args: string[]) => controlPlane.picket<T>(...args);

beforeAll(async () => {
  const notAfter = new Date(Date.now() + 3_600_000);
  const server = makeCertificate({ dir: join(files, "server"), notAfter });
  const own = makeCertificate({ dir: join(files, "node"), name: "db-1", use: "client", notAfter });
  controlPlane = await startControlPlane({
    PICKET_TLS_CERT: server.cert,
    PICKET_TLS_KEY: server.key,
    PICKET_TLS_CLIENT_CA: own.ca,
    NODE_EXTRA_CA_CERTS: server.ca,
  });
  env = { PICKET_TLS_CA: server.ca, PICKET_TLS_CERT: own.cert, PICKET_TLS_KEY: own.key };
  await picket("keys", "new");
  await picket("keys", "register");
}, 180_000);
afterAll(async () => {
  for (const node of nodes) await node.remove();
  await controlPlane?.stop();
  rmSync(files, { recursive: true, force: true });
}, 60_000);

async function start(hostname: string, shows: Record<string, string>): Promise<Node> {
  const { token } = await picket<{ token: string }>("tokens", "create");
  const node = await startNode({ controlPlane, joinToken: token, hostname, env: shows });
  nodes.push(node);
  return node;
}

test("a version reaches the node that shows a certificate of the fleet's", async () => {
  await start("db-1", env);
  const rules = join(controlPlane.home, "tls.yaml");
  writeFileSync(
    rules,
    "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: tls }\nspec: { core: false }\n",
  );
  const signed = join(controlPlane.home, "tls-1.json");
  await picket("rules", "sign", rules, "--version", "1", "--out", signed);
  await picket("rules", "push", signed);
  const { id } = await picket<RolloutDetails>("rollout", "start", "tls@1", "--steps", "100%:0s");
  await eventually(
    async () => (await picket<RolloutDetails>("rollout", "status", id)).state === "complete" || undefined,
    "the rollout is complete",
    60_000,
  );
}, 120_000);

test("a node without one is not heard, and says why", async () => {
  const { PICKET_TLS_CA } = env as { PICKET_TLS_CA: string };
  const node = await start("db-2", { PICKET_TLS_CA });
  await eventually(
    async () => node.agent.log().includes("nodes need a certificate of this fleet's CA") || undefined,
    "the agent says why",
  );
  const { length } = await picket<unknown[]>("nodes", "ls");
  expect(length).toBe(1);
}, 120_000);
