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

test("a step waits for approval, the gate explains itself, and one command stops and releases the fleet", async () => {
  const { id } = await json(
    "rollout",
    "start",
    "shop@3",
    "--steps",
    "50%:0s,100%:1h:approve",
    "--cap",
    "zone:1",
    "--compare",
    "off",
  );
  expect((await picket("rollout", "start", "shop@2", "--steps", "100%:0s")).code).toBe(6);
  const [canary] = (await fleet.rollout(id)).nodesPlanned.filter(({ step }) => step === 0);
  await nodes.find(node => node.id === canary!.node)!.follow();
  await until(
    () => fleet.rollout(id),
    ({ asks }) => asks !== null,
  );
  const status = await picket("rollout", "status", id);
  expect(status.stdout).toMatch(/At once +1 of a zone/);
  expect(status.stdout).toMatch(/Asks you .*picket rollout approve/);

  const explained = await picket("rollout", "explain", id);
  expect(explained.stdout).toContain("step 2 begins when it is approved");
  expect(explained.stdout).toContain("the same evidence gives the same decision");
  expect((await json("rollout", "explain", id)).replayed.same).toBe(true);

  expect((await picket("fleet", "stop", "checkout is down")).stdout).toContain("STOPPED by bootstrap");
  await until(
    () => fleet.rollout(id),
    ({ asks }) => asks === null,
  );
  // While the fleet is stopped nobody is asked for anything else.
  expect((await picket("rollout", "approve", id)).code).toBe(6);
  expect((await picket("fleet", "status")).stdout).toContain("checkout is down");
  expect((await picket("fleet", "release")).stdout).toContain("Not stopped.");
  await until(
    () => fleet.rollout(id),
    ({ asks }) => asks !== null,
  );
  await json("rollout", "approve", id);
  expect(await fleet.rollout(id)).toMatchObject({ step: 1, asks: null });
  await json("rollout", "abort", id);
});

test("a freeze is added, shown and removed, and a wrong one says what would be right", async () => {
  const window = ["--from", "00:00", "--to", "00:00", "--zone", "Europe/Berlin"];
  const added = await json("fleet", "freeze", "add", "--reason", "the sale", "--days", "daily", ...window);
  expect(added.frozenUntil).not.toBeNull();
  expect((await picket("fleet", "freeze", "ls")).stdout).toMatch(
    /mon,tue,.* from 00:00 to 00:00 Europe\/Berlin/,
  );
  expect((await picket("fleet", "status")).stdout).toContain("the sale");
  expect((await picket("fleet", "freeze", "rm", added.id.slice(0, 8))).code).toBe(0);
  expect((await picket("fleet", "status")).stdout).toContain("Not frozen.");
  const wrong = await picket("fleet", "freeze", "add", "--reason", "x", "--from", "16:00", "--to", "18:00");
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("without, moments such as")]);
});
