/**
 * Each cell of driver × protocol: a blocked statement is an ordinary SQL error to the application, its next
 * statement on the same connection works, and the transaction is what the server says it is: open on MariaDB,
 * aborted until ROLLBACK on PostgreSQL.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, inCgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { DATABASE, SCHEMA, SHOP_RULES } from "./shop-rules.ts";

const CLIENTS = fileURLToPath(new URL("./clients/", import.meta.url));
const goBinary = join(mkdtempSync(join(tmpdir(), "picket-go-")), "client");

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let cgroup: Cgroup;
let agent: Agent;

beforeAll(async () => {
  cgroup = makeCgroup(`picket-test-drivers-${process.pid}`);
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: DATABASE }),
    startPostgreSQL({ database: DATABASE }),
  ]);
  await mariadb.exec(SCHEMA.mysql);
  await postgresql.exec(SCHEMA.pg);
  agent = await startAgent({ cgroup: cgroup.path, rules: SHOP_RULES });
  await agent.guard(cgroup.path);
});

afterAll(async () => {
  await agent?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
  await cgroup?.remove();
  if (agent) forget(agent);
});

type Seen = {
  blocked: { code?: string; errno?: number; sqlState?: string; message: string; leaked?: boolean };
  transaction: string;
  next: string;
};

async function run(command: string[], env: Record<string, string> = {}, input = ""): Promise<string> {
  const child = inCgroup(cgroup.path, command, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  child.stdin!.end(input);
  let out = "";
  let errors = "";
  child.stdout!.on("data", chunk => {
    out += chunk;
  });
  child.stderr!.on("data", chunk => {
    errors += chunk;
  });
  await new Promise(resolve => child.on("close", resolve));
  return `${out}${errors}`;
}

const login = (database: { port: number; user: string; password: string }) => ({
  DB_USER: database.user,
  DB_PASSWORD: database.password,
  DB_NAME: DATABASE,
});

async function throughNode(driver: string, protocol: string): Promise<Seen> {
  const database = driver === "mysql2" ? mariadb : postgresql;
  const printed = await run(
    [process.execPath, join(CLIENTS, "node.mjs"), driver, protocol, String(database.port)],
    login(database),
  );
  return JSON.parse(printed) as Seen;
}

test.each([
  ["mysql2", "query"],
  ["mysql2", "prepare"],
])(
  "%s over %s: a clean error, the transaction stays open, the next statement works",
  async (driver, protocol) => {
    const seen = await throughNode(driver, protocol);
    expect(seen.blocked).toMatchObject({
      errno: protocol === "query" ? 1644 : 1054,
      message: expect.stringContaining("Picket"),
    });
    expect(seen).toMatchObject({ transaction: "open", next: "ok" });
  },
);

test.each([
  ["pg", "simple"],
  ["pg", "extended"],
  ["pg", "named-prepare"],
  ["postgres.js", "simple"],
  ["postgres.js", "extended"],
  ["postgres.js", "unnamed"],
])(
  "%s over %s: a clean error, the transaction is aborted until ROLLBACK, the next statement works",
  async (driver, protocol) => {
    const seen = await throughNode(driver, protocol);
    expect(seen.blocked.message).toContain("Picket");
    expect(seen).toMatchObject({ transaction: "aborted", next: "ok" });
  },
);

test.each(["text", "prepare"])(
  "go-sql-driver over %s: a clean error, the transaction stays open, the next statement works",
  async protocol => {
    const built = spawnSync("go", ["build", "-o", goBinary, "."], {
      cwd: join(CLIENTS, "go"),
      env: { ...process.env, GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: `${goBinary}-cache` },
    });
    expect(built.stderr.toString()).toBe("");
    const credentials = mariadb.password ? `${mariadb.user}:${mariadb.password}` : mariadb.user;
    const seen = JSON.parse(
      await run([goBinary, protocol, `${credentials}@tcp(127.0.0.1:${mariadb.port})/${DATABASE}`]),
    ) as Seen;
    expect(seen.blocked).toMatchObject({
      errno: protocol === "text" ? 1644 : 1054,
      message: expect.stringContaining("Picket"),
    });
    expect(seen).toMatchObject({ transaction: "open", next: "ok" });
  },
  120_000,
);

const UNION = "SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT id, secret FROM picket_secrets";

test("the mariadb client: a clean error, the transaction stays open, the next statement works", async () => {
  const printed = await run(
    [
      "mariadb",
      "--no-defaults",
      "--force",
      "--table",
      "-h127.0.0.1",
      `-P${mariadb.port}`,
      `-u${mariadb.user}`,
      DATABASE,
    ],
    mariadb.password ? { MYSQL_PWD: mariadb.password } : {},
    [
      "START TRANSACTION;",
      "INSERT INTO picket_journal (note) VALUES ('cli');",
      `${UNION};`,
      "SELECT count(*) > 0 AS still_open FROM picket_journal;",
      "ROLLBACK;",
      "SELECT 41 + 1 AS answer;",
    ].join("\n"),
  );
  expect(printed).toMatch(/ERROR 1644 \(45000\).*Picket/);
  expect(printed).toMatch(/still_open[\s\S]*\| +1 \|/);
  expect(printed).toMatch(/answer[\s\S]*\| +42 \|/);
  expect(printed).not.toContain("hunter2");
});

test("psql: a clean error, the transaction is aborted until ROLLBACK, the next statement works", async () => {
  const printed = await run(
    [
      "psql",
      "-X",
      "-h",
      "127.0.0.1",
      "-p",
      String(postgresql.port),
      "-U",
      postgresql.user,
      "-d",
      DATABASE,
      ...[
        "BEGIN",
        "INSERT INTO picket_journal (note) VALUES ('psql')",
        UNION,
        "SELECT 1",
        "ROLLBACK",
        "SELECT 41 + 1 AS answer",
      ].flatMap(sql => ["-c", sql]),
    ],
    { PGPASSWORD: postgresql.password ?? "", PGSSLMODE: "disable" },
  );
  expect(printed).toMatch(/ERROR:.*Picket/);
  expect(printed).toContain("current transaction is aborted");
  expect(printed).toMatch(/answer[\s\S]*\b42\b/);
  expect(printed).not.toContain("hunter2");
});

test("each blocked statement is a detection that says prevented, with its literals redacted", async () => {
  const statements = (await agent.detections()).filter(d => d.kind === "statement" && d.action === "block");
  expect(statements.length).toBeGreaterThan(0);
  for (const detection of statements) {
    expect(detection).toMatchObject({ verdict: "attack", guarantee: "prevented" });
    expect(detection).toHaveProperty("sql", expect.not.stringMatching(/= 1\b/));
  }
});

test.each([
  ["mysql", () => mariadb.user],
  ["pg", () => postgresql.user],
] as const)(
  "%s: a detection names the database user and the database of its connection",
  async (dialect, user) => {
    const blocked = await agent.detection(
      each => each.kind === "statement" && each.dialect === dialect && each.guarantee === "prevented",
      `a prevented statement of ${dialect}`,
    );
    expect(blocked).toMatchObject({ user: user(), database: DATABASE });
  },
);
