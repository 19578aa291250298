import { freePort } from "@picket/infra/ports";
import { type Child, launch, untilReady } from "@picket/infra/process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ATTACKS, attackAll, shopAt } from "./attack.ts";
import { type ShopDatabases, startShopDatabases } from "./databases.ts";
import { ADMIN_EMAIL } from "./seed.ts";
import { startTraffic } from "./traffic.ts";

// The shop with no Picket around: what is to be prevented must first be possible.

const WORKERS = 3;
let databases: ShopDatabases;
let shop: Child;
let address: string;
let status: string;

beforeAll(async () => {
  databases = await startShopDatabases();
  const [port, statusPort] = [await freePort(), await freePort()];
  address = `http://127.0.0.1:${port}`;
  status = `http://127.0.0.1:${statusPort}/healthz`;
  shop = launch({
    name: "shop",
    command: process.execPath,
    args: ["--import", import.meta.resolve("tsx"), `${import.meta.dirname}/shop.ts`],
    env: {
      ...process.env,
      ...databases.env,
      SHOP_PORT: `${port}`,
      SHOP_STATUS_PORT: `${statusPort}`,
      SHOP_WORKERS: `${WORKERS}`,
    },
  });
  const isReady = (): Promise<boolean> =>
    fetch(status).then(
      ({ ok }) => ok,
      () => false,
    );
  await untilReady({ child: shop, ready: isReady });
});
afterAll(async () => {
  await shop?.stop();
  await databases?.stop();
});

test("without Picket every attack succeeds on both databases", async () => {
  const attempts = await attackAll(shopAt(address));
  expect(attempts.filter(({ outcome }) => outcome.kind !== "succeeded")).toEqual([]);
  expect(attempts).toHaveLength(2 * ATTACKS.length);
});

test("honest traffic is answered without a single refusal", async () => {
  const traffic = startTraffic({ address, ratePerS: 200 });
  await expect.poll(() => traffic.counts().answered, { timeout: 30_000 }).toBeGreaterThan(400);
  expect(await traffic.stop()).toMatchObject({ refused: 0, unreachable: 0 });
});

test("the requests are spread over the worker processes", async () => {
  const replies = await Promise.all(
    Array.from({ length: 30 }, () => shopAt(address).ask("/product", { id: "1" }, "mariadb")),
  );
  expect(new Set(replies.map(({ worker }) => worker)).size).toBe(WORKERS);
});

test("a wrong password does not log anybody in", async () => {
  for (const database of ["mariadb", "postgresql"] as const) {
    const reply = await shopAt(address).ask("/login", { email: ADMIN_EMAIL, password: "guess" }, database);
    expect(reply.rows).toEqual([]);
  }
});

test("a worker that is killed is replaced", async () => {
  const { worker } = await shopAt(address).ask("/product", { id: "1" }, "mariadb");
  const workers = async (): Promise<number> =>
    ((await (await fetch(status)).json()) as { workers: number }).workers;
  process.kill(worker, "SIGKILL");
  await expect.poll(workers, { timeout: 10_000 }).toBe(WORKERS - 1);
  await expect.poll(workers, { timeout: 20_000 }).toBe(WORKERS);
  const replies = await Promise.all(
    Array.from({ length: 30 }, () => shopAt(address).ask("/product", { id: "1" }, "mariadb")),
  );
  const pids = new Set(replies.map(reply => reply.worker));
  expect([pids.size, pids.has(worker)]).toEqual([WORKERS, false]);
});

test("the page invites to try an injection", async () => {
  const page = await (await fetch(address)).text();
  expect(page).toContain("Try your own injection");
});
