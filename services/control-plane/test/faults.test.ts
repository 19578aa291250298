/** PostgreSQL and Redis die, hang and come back; the control plane says so and recovers by itself. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres, startRedis } from "@picket/infra/embedded";
import type { Alert } from "@picket/shared/api";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  Client,
  type Fleet,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  statement,
  until,
} from "./fleet.ts";

let home: string;
let stores: Stores;
let fleet: Fleet;
let node: SimulatedNode;
const unhandled: unknown[] = [];
const remember = (reason: unknown) => void unhandled.push(reason);

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "picket-test-faults-"));
  const { chmodSync } = await import("node:fs");
  chmodSync(home, 0o755);
  process.on("unhandledRejection", remember);
  stores = await startStores({ postgres: join(home, "pg"), redis: join(home, "redis") });
  fleet = await startFleet(stores, { dependencyTimeoutMs: 1_500, leaseMs: 1_000 });
  node = await fleet.join("db-1", { test: "faults" });
  await fleet.push("faults", 1);
  await fleet.push("faults", 2);
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
  process.off("unhandledRejection", remember);
  rmSync(home, { recursive: true, force: true });
});
afterEach(() => {
  expect(unhandled).toEqual([]);
});

const ready = async () => {
  const response = await fetch(`${fleet.url}/readyz`);
  return { status: response.status, ...((await response.json()) as { postgres: string; redis: string }) };
};

async function killPostgres(): Promise<() => Promise<void>> {
  process.kill(stores.postgres.pid, "SIGKILL");
  await stores.postgres.stop();
  return async () => {
    stores.postgres = await startPostgres({ dir: join(home, "pg") });
  };
}

async function killRedis(): Promise<() => Promise<void>> {
  process.kill(stores.redis.pid, "SIGKILL");
  await stores.redis.stop();
  return async () => {
    stores.redis = await startRedis({ dir: join(home, "redis") });
  };
}

test("with PostgreSQL killed every route says 503 and why, and all goes on when it is back", async () => {
  const started = await fleet.start("faults", 1, [{ percent: 100 }], { test: "faults" });
  const restart = await killPostgres();
  for (let i = 0; i < 3; i++)
    for (const [method, path] of [
      ["GET", "/v1/nodes"],
      ["GET", "/v1/me"],
      ["POST", `/v1/rollouts/${started.id}/pause`],
    ] as const)
      expect(await fleet.admin.refusal(method, path)).toMatchObject({ status: 503, code: "postgres-away" });
  expect(await node.client.refusal("POST", "/v1/agent/events", { events: [statement()] })).toMatchObject({
    status: 503,
    code: "postgres-away",
  });
  expect((await fetch(`${fleet.url}/healthz`)).status).toBe(200);
  const state = await ready();
  expect(state).toMatchObject({ status: 503, redis: "ok" });
  expect(state.postgres).not.toBe("ok");

  await restart();
  await until(ready, ({ status }) => status === 200);
  await until(
    async () => {
      await node.follow(0);
      return fleet.rollout(started.id);
    },
    ({ state }) => state === "complete",
  );
});

test("events that were refused while PostgreSQL was away are taken when they come again, once", async () => {
  const events = Array.from({ length: 50 }, () => statement({ causalKey: "while-away" }));
  const restart = await killPostgres();
  await expect(node.events(events)).rejects.toThrow("503");
  await restart();
  await until(
    () => node.events(events).catch(() => null),
    answer => answer !== null,
  );
  const { duplicates } = await node.events(events);
  expect(duplicates).toBe(50);
  const count = () =>
    fleet.admin
      .call<{ items: Alert[] }>("GET", "/v1/alerts")
      .then(({ items }) => items.find(({ causalKey }) => causalKey === "while-away")?.count);
  await until(count, found => found === 50);
});

test("with Redis killed polls and sign-ins say 503 and why, rollouts go on by what is desired, and polls come back", async () => {
  const restart = await killRedis();
  expect(await until(ready, ({ status }) => status === 503)).toMatchObject({ postgres: "ok" });
  expect(await node.client.refusal("GET", "/v1/agent/assignments?wait=25")).toMatchObject({
    status: 503,
    code: "redis-away",
  });
  expect(
    await new Client(fleet.url, "none").refusal("POST", "/v1/session", { token: fleet.admin.token }),
  ).toMatchObject({
    status: 503,
    code: "redis-away",
  });
  // The operator's hand is not tied: a rollout is rows, and agents reconcile by themselves.
  const started = await fleet.start("faults", 2, [{ percent: 100 }], { test: "faults" });
  const [assignment] = await node.desired();
  expect(assignment!.version).toBe(2);
  node.install(assignment!);
  await node.report();
  await until(
    () => fleet.rollout(started.id),
    ({ state }) => state === "complete",
  );
  expect(await node.events([statement({ causalKey: "without-redis" })])).toMatchObject({ committed: 1 });
  await until(
    () => fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts"),
    ({ items }) => items.some(({ causalKey }) => causalKey === "without-redis"),
  );

  await restart();
  await until(ready, ({ status }) => status === 200);
  const back = await fleet.admin.call<{ id: string }>("POST", `/v1/rollouts/${started.id}/rollback`);
  expect(
    (
      await until(
        () => node.follow(1),
        found => found !== null,
      )
    )?.version,
  ).toBe(1);
  await until(
    () => fleet.rollout(back.id),
    ({ state }) => state === "rolled-back",
  );
});

test("a poll that waits while Redis dies and comes back hears of what is assigned afterwards", async () => {
  const waiting = node.poll(60).catch((error: Error) => error);
  await (await killRedis())();
  await until(ready, ({ status }) => status === 200);
  await fleet.push("faults", 3);
  await fleet.start("faults", 3, [{ percent: 100 }], { test: "faults" });
  // Either it was told that Redis was away and asks again, or it never noticed.
  const lease = await waiting;
  const assignment = lease instanceof Error || lease === null ? await node.follow(5) : lease.assignment;
  expect(assignment?.version).toBe(3);
});

test("a PostgreSQL that hangs is answered for within the bound", async () => {
  process.kill(stores.postgres.pid, "SIGSTOP");
  const { execFileSync } = await import("node:child_process");
  const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(stores.postgres.pid)], {
    encoding: "utf8",
  })
    .split("\n")
    .map(Number)
    .filter(pid => pid > 0);
  for (const pid of children) process.kill(pid, "SIGSTOP");
  try {
    expect(await fleet.admin.refusal("GET", "/v1/nodes")).toMatchObject({ status: 503, code: "timed-out" });
    expect((await ready()).postgres).toContain("no answer within");
  } finally {
    for (const pid of [...children, stores.postgres.pid]) process.kill(pid, "SIGCONT");
  }
  await until(ready, ({ status }) => status === 200);
  expect((await fleet.admin.fetch("GET", "/v1/nodes")).status).toBe(200);
});
