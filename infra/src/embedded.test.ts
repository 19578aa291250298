import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Redis } from "ioredis";
import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startPostgres, startRedis } from "./embedded.ts";
import { startTicks } from "./process.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "picket-test-embedded-"));
  spawnSync("chmod", ["0755", home]);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

test("PostgreSQL serves its unix socket, and nothing over TCP", async () => {
  const server = await startPostgres();
  const sql = postgres(server.options);
  try {
    expect((await sql`show listen_addresses`)[0]).toEqual({ listen_addresses: "" });
    expect((await sql`select current_database() as db, current_user as role`)[0]).toEqual({
      db: "picket",
      role: "picket",
    });
    const heard = new Promise<string>(
      resolve => void sql.listen("bell", resolve, () => void sql.notify("bell", "ding")),
    );
    expect(await heard).toBe("ding");
  } finally {
    await sql.end();
    await server.stop();
  }
  expect(startTicks(server.pid)).toBeUndefined();
  expect(existsSync(dirname(server.logFile))).toBe(false);
});

test("what was committed survives a kill -9 of PostgreSQL", async () => {
  const dir = join(home, "pg");
  const first = await startPostgres({ dir });
  const before = postgres(first.options);
  await before`create table kept (word text)`;
  await before`insert into kept values ('still here')`;
  process.kill(first.pid, "SIGKILL");
  await before.end({ timeout: 0 });
  await first.stop();

  const second = await startPostgres({ dir });
  const after = postgres(second.options);
  expect(await after`select word from kept`).toEqual([{ word: "still here" }]);
  await after.end();
  await second.stop();
});

test("what was written survives a kill -9 of Redis", async () => {
  const dir = join(home, "redis");
  const first = await startRedis({ dir });
  const before = new Redis(first.url);
  before.on("error", () => undefined);
  await before.set("word", "still here");
  await new Promise(resolve => setTimeout(resolve, 1_200)); // appendfsync everysec: the promise is one second.
  process.kill(first.pid, "SIGKILL");
  before.disconnect();
  await first.stop();

  const second = await startRedis({ dir });
  const after = new Redis(second.url);
  expect(await after.get("word")).toBe("still here");
  expect((await after.config("GET", "maxmemory-policy")) as string[]).toContain("noeviction");
  expect((await after.config("GET", "port")) as string[]).toContain("0");
  after.disconnect();
  await second.stop();
});

test("another account of the host reaches neither server", async () => {
  const servers = [await startPostgres(), await startRedis()] as const;
  const sockets = [join(servers[0].options.host, ".s.PGSQL.5432"), servers[1].url];
  try {
    for (const path of sockets) {
      const probe = `require("net").connect(${JSON.stringify(path)}).on("connect",()=>process.exit(7)).on("error",e=>{console.log(e.code);process.exit(0)})`;
      const daemon = spawnSync(process.execPath, ["-e", probe], {
        uid: 1,
        gid: 1,
        cwd: "/",
        encoding: "utf8",
      });
      expect(daemon.stdout.trim()).toBe("EACCES");
    }
  } finally {
    for (const server of servers) await server.stop();
  }
});

test("the servers end with their owner, even when it is killed, and the directories can be used again", async () => {
  const script = join(home, "owner.mts");
  const embedded = JSON.stringify(join(import.meta.dirname, "embedded.ts"));
  writeFileSync(
    script,
    `import { startPostgres, startRedis } from ${embedded};
     const pg = await startPostgres({ dir: ${JSON.stringify(join(home, "pg"))} });
     const redis = await startRedis({ dir: ${JSON.stringify(join(home, "redis"))} });
     console.log(pg.pid, redis.pid);
     setInterval(() => {}, 1000);`,
  );
  const owner = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>(resolve => owner.stdout.once("data", data => resolve(String(data))));
  const pids = line.trim().split(" ").map(Number);
  expect(pids.map(startTicks)).not.toContain(undefined);
  owner.kill("SIGKILL");
  await expect.poll(() => pids.map(startTicks), { timeout: 15_000 }).toEqual([undefined, undefined]);

  const [pg, redis] = [
    await startPostgres({ dir: join(home, "pg") }),
    await startRedis({ dir: join(home, "redis") }),
  ];
  await pg.stop();
  await redis.stop();
});

test("a directory in use is refused, naming the process", async () => {
  const dir = join(home, "redis");
  const server = await startRedis({ dir });
  await expect(startRedis({ dir })).rejects.toMatchObject({ code: "in-use" });
  await server.stop();
  const claim = { owner: { pid: process.ppid, ticks: startTicks(process.ppid) } };
  writeFileSync(join(dir, "claim.json"), JSON.stringify(claim));
  await expect(startRedis({ dir })).rejects.toThrow(`in use by process ${process.ppid}`);
});

test("a server whose owner is dead is ended before a new one starts", async () => {
  const dir = join(home, "pg");
  const first = await startPostgres({ dir });
  const claim = JSON.parse(readFileSync(join(dir, "claim.json"), "utf8"));
  writeFileSync(
    join(dir, "claim.json"),
    JSON.stringify({ ...claim, owner: { pid: process.pid + 1, ticks: "1" } }),
  );
  const second = await startPostgres({ dir });
  expect(startTicks(first.pid)).toBeUndefined();
  await second.stop();
});

test("a data directory below a closed parent is refused with the way out", async () => {
  if (process.getuid?.() !== 0) return console.warn("needs root: an unprivileged owner can always enter");
  spawnSync("chmod", ["0700", home]);
  await expect(startPostgres({ dir: join(home, "pg") })).rejects.toThrow(/may not enter .*PICKET_HOME/);
});
