/** API, gateway and workers as processes of their own, built and started as in production. */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN, bundle, Client, SimulatedNode, type Stores, startStores, until } from "./fleet.ts";

const dist = (entry: string) => fileURLToPath(new URL(`../dist/${entry}`, import.meta.url));
const built = existsSync(dist("main.js"));

let stores: Stores;
const children: ChildProcess[] = [];
beforeAll(async () => {
  stores = await startStores();
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await stores?.stop();
});

interface Running {
  url: string;
  stop(): Promise<number | null>;
}

function run(entry: string, environment: Record<string, string> = {}): Promise<Running> {
  const child = spawn(process.execPath, [dist(entry)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: stores.postgres.url,
      REDIS_URL: stores.redis.url,
      PICKET_LISTEN: "127.0.0.1:0",
      ...environment,
    },
  });
  children.push(child);
  const exited = new Promise<number | null>(resolve => child.once("exit", resolve));
  return new Promise((resolve, reject) => {
    let log = "";
    const read = (chunk: Buffer) => {
      log += chunk;
      if (!/listening|worker running/.test(log)) return;
      resolve({
        url: /"url":"(http:[^"]+)"/.exec(log)?.[1] ?? "",
        stop: () => {
          child.kill("SIGTERM");
          return exited;
        },
      });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    void exited.then(code => reject(new Error(`${entry} ended with ${code}: ${log}`)));
  });
}

test.runIf(built)(
  "four processes start on an empty database at once and do together what one does",
  async () => {
    const [api, gateway, worker, second] = await Promise.all([
      run("main.js", { PICKET_BOOTSTRAP_TOKEN: ADMIN }),
      run("gateway.js"),
      run("worker.js"),
      run("worker.js"),
    ]);
    const admin = new Client(api.url);
    const { privateKey } = generateKeyPairSync("ed25519");
    await admin.call("POST", "/v1/release-keys", releaseKey(privateKey));
    const { token } = await admin.call<{ token: string }>("POST", "/v1/join-tokens", {});
    const node = await SimulatedNode.enrol(api.url, token, "db-1");
    await admin.call("POST", "/v1/rule-sets/apart/versions", signBundle(bundle("apart", 1), [privateKey]));

    const waiting = new Client(gateway.url, node.client.token).fetch("GET", "/v1/agent/assignments?wait=60");
    const { id } = await admin.call<{ id: string }>("POST", "/v1/rollouts", {
      ruleSet: "apart",
      version: 1,
      steps: [{ percent: 100, soak: "0s" }],
    });
    const { assignment } = (await (await waiting).json()) as {
      assignment: Parameters<SimulatedNode["install"]>[0];
    };
    await new Client(gateway.url, node.client.token).call(
      "POST",
      `/v1/agent/assignments/${assignment.id}/ack`,
    );
    node.install(assignment);
    await node.report();
    await until(
      () => admin.call<{ state: string }>("GET", `/v1/rollouts/${id}`),
      ({ state }) => state === "complete",
    );
    expect(await admin.refusal("GET", "/v1/agent/assignments")).toMatchObject({ status: 404 });
    expect(await new Client(gateway.url).refusal("GET", "/v1/nodes")).toMatchObject({ status: 404 });

    // A poll that waits does not hold up the stop.
    const last = new Client(gateway.url, node.client.token).fetch("GET", "/v1/agent/assignments?wait=60");
    await new Promise(resolve => setTimeout(resolve, 200));
    const codes = await Promise.all([api, gateway, worker, second].map(({ stop }) => stop()));
    expect(codes).toEqual([0, 0, 0, 0]);
    expect((await last).status).toBe(204);
  },
);

test.runIf(built)("settings that are not right end the start with their names", async () => {
  await expect(run("main.js", { DATABASE_URL: "", PICKET_LISTEN: "nowhere" })).rejects.toThrow(
    /ended with 2: [\s\S]*DATABASE_URL: where PostgreSQL is[\s\S]*PICKET_LISTEN/,
  );
});

test.runIf(built)("without PostgreSQL the start ends and says so", async () => {
  await expect(run("worker.js", { DATABASE_URL: "postgres://picket@127.0.0.1:1/picket" })).rejects.toThrow(
    /ended with 1: PostgreSQL cannot be reached/,
  );
});

if (!built)
  console.warn(
    "NOT TESTED: separate processes. Build first: npx turbo run build --filter=@picket/control-plane",
  );
