/** The command against a real control plane with nodes that speak the contract: rollouts, detections, alerts. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ADMIN,
  type Fleet,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  statement,
  until,
} from "../../../services/control-plane/test/fleet.ts";

const bin = fileURLToPath(new URL("../bin/picket.mjs", import.meta.url));

let stores: Stores;
let fleet: Fleet;
let nodes: SimulatedNode[];
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores);
  nodes = [await fleet.join("db-front-1", { zone: "a" }), await fleet.join("db-front-2", { zone: "b" })];
  for (const version of [1, 2, 3]) await fleet.push("shop", version);
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const env = () => ({ PATH: process.env.PATH, PICKET_URL: fleet.url, PICKET_TOKEN: ADMIN });

type Ran = { code: number; stdout: string; stderr: string };

function picket(...args: string[]): Promise<Ran> {
  return new Promise(resolve => {
    execFile(process.execPath, [bin, ...args], { env: env() }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

const json = async (...args: string[]) => {
  const ran = await picket(...args, "--json");
  expect([ran.code, ran.stderr]).toEqual([0, ""]);
  return JSON.parse(ran.stdout);
};

/** A command that stays: its output as it grows. */
function following(...args: string[]): {
  child: ChildProcess;
  out: () => string;
  ended: Promise<number | null>;
} {
  const child = spawn(process.execPath, [bin, ...args], { env: env(), stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", chunk => {
      out += chunk;
    });
  return { child, out: () => out, ended: new Promise(resolve => child.once("exit", resolve)) };
}

const installAll = async () => {
  for (const node of nodes) await node.follow();
};

test("a rollout is started and watched to its end, a line for each change where there is no terminal", async () => {
  const watch = following("rollout", "start", "shop@1", "--steps", "100%:0s", "--watch");
  await until(
    async () => watch.out(),
    out => out.includes("installed 0/2"),
  );
  await installAll();
  expect(await watch.ended).toBe(0);
  expect(watch.out()).toMatch(/complete +step 1\/1 \(100 %\) +installed 2\/2 +refused 0/);
  expect(await json("rollout", "status")).toMatchObject([{ state: "complete", version: 1 }]);
});

test("a canary is paused, resumed and rolled back; watching it then ends with 1", async () => {
  const { id } = await json("rollout", "start", "shop@2", "--steps", "50%:1h,100%:1h", "--share", "20%");
  const watch = following("rollout", "watch", id.slice(0, 8), "--json");
  expect(await json("rollout", "pause", id)).toMatchObject({ state: "paused" });
  expect((await picket("rollout", "pause", id)).code).toBe(6);
  expect(await json("rollout", "resume", id.slice(0, 8))).toMatchObject({ state: "running" });
  const status = await picket("rollout", "status", id);
  expect(status.stdout).toMatch(/Version +shop@2, replaces 1/);
  expect(status.stdout).toMatch(/50 % +1h +20 %/);
  expect(status.stdout).toContain("db-front-1");
  await json("rollout", "rollback", id);
  await installAll();
  expect(await watch.ended).toBe(1);
  const states = watch
    .out()
    .trim()
    .split("\n")
    .map(line => JSON.parse(line))
    .map(({ state, error }) => state ?? error.code);
  expect(states.at(-1)).toBe("rollout-rolled-back");
});

test("nodes are found by host name, with what they run", async () => {
  const { stdout } = await picket("nodes", "ls");
  expect(stdout).toMatch(/db-front-1 +online +shop@1/);
  expect(await json("nodes", "show", "db-front-2")).toMatchObject({
    hostname: "db-front-2",
    labels: { zone: "b" },
  });
  expect((await picket("nodes", "show", "db-front-2")).stdout).toMatch(/Labels +zone=b/);
  expect((await picket("nodes", "show", "db-front-9")).code).toBe(5);
});

test("detections are followed as they come in, and the alert that they raise is acknowledged", async () => {
  const tail = following("detections", "tail", "--follow", "-n", "0", "--json");
  const send = async (sql: string) => nodes[0]!.events([statement({ sql, rules: ["trailing-comment"] })]);
  // The stream is open when the first one comes through; an earlier one may have been before it.
  await until(
    async () => {
      await send("SELECT a FROM t WHERE b = ? -- ");
      return tail.out();
    },
    out => out.includes("trailing-comment"),
  );
  const [line] = tail.out().trim().split("\n");
  expect(JSON.parse(line!)).toMatchObject({ hostname: "db-front-1", detection: { kind: "statement" } });
  tail.child.kill("SIGINT");
  expect(await tail.ended).toBe(0);

  const listed = await picket("detections", "tail", "-n", "1", "--node", "db-front-1");
  expect(listed.stdout).toMatch(/db-front-1 .*\(trailing-comment\).*: SELECT a FROM t WHERE b = \? --/);
  expect(await json("detections", "tail", "--since", "1h")).not.toEqual([]);
  expect(await json("detections", "tail", "--since", "2099-01-01T00:00:00Z")).toEqual([]);

  const [alert] = await until(
    () => json("alerts", "ls"),
    alerts => alerts.length > 0,
  );
  expect(await json("alerts", "ack", alert.id.slice(0, 8))).toMatchObject({ state: "acknowledged" });
  expect(await json("alerts", "ls", "--state", "open")).toEqual([]);
  expect((await picket("alerts", "ls")).stdout).toContain("acknowledged");
});
