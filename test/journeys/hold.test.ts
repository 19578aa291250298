/**
 * Hold and judge on real servers, with real drivers and a real keeper: the first use of an injection is stopped, and
 * honest statements do not notice.
 */
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Action, Answer, Because, Consult, Guarantee, OnFailure, Outcome } from "@picket/native/events";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { type Keeper, startKeeper } from "../harness/keeper.ts";
import { type WatchedKernel, watchKernel } from "../harness/kernel.ts";

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let watched: WatchedKernel;
let keeper: Keeper;
const scratch = mkdtempSync(join(tmpdir(), "picket-hold-"));

const RULES = [
  { id: "noted", pattern: "noted '('", action: Action.ALERT },
  { id: "sqli-union", pattern: "union [all|distinct] select", action: Action.BLOCK },
];

beforeAll(async () => {
  const trust = join(scratch, "pg_hba.conf");
  chmodSync(scratch, 0o755);
  writeFileSync(trust, "local all all trust\nhost all all 127.0.0.1/32 trust\n", { mode: 0o644 });
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: "shop" }),
    startPostgreSQL({ database: "shop", settings: { hba_file: trust } }),
  ]);
  watched = await watchKernel("hold", {
    mode: "enforce",
    hold: { holdBytesMax: 48 << 20, holdBurst: 10_000, failMask: 1, onFailure: OnFailure.OPEN },
  });
  await renewKeeper();
});

afterAll(async () => {
  await keeper?.stop();
  await watched?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
});

beforeEach(() => keeper.policy({ consult: Consult.NEVER, failMask: 1 }));

async function renewKeeper(): Promise<void> {
  await keeper?.stop();
  keeper = await startKeeper(watched.pins);
  keeper.rules(1, RULES);
  keeper.policy({ consult: Consult.NEVER, failMask: 1 });
}

const mysql = () =>
  createConnection({
    host: "127.0.0.1",
    port: mariadb.port,
    user: mariadb.user,
    password: mariadb.password,
    database: "shop",
  });
const pgOptions = () => ({
  host: "127.0.0.1",
  port: postgresql.port,
  user: postgresql.user,
  database: "shop",
});
async function postgresqlClient() {
  const client = new pg.Client({ ...pgOptions(), ssl: false });
  client.on("error", () => {}); // Killed connections.
  await client.connect();
  return client;
}

let marks = 0;
const mark = () => `m${process.pid}_${String.fromCharCode(97 + (marks++ % 26))}${marks}`;

type Client = {
  query(sql: string): Promise<unknown>;
  prepared(sql: string): Promise<unknown>;
  /** Sends it and closes at once: nobody reads the answer. */
  last(sql: string): void;
  end(): Promise<void>;
};
const streamOf = (client: object) => (client as { connection: { stream: Socket } }).connection.stream;
const clients: [name: string, open: () => Promise<Client>][] = [
  [
    "MariaDB, mysql2",
    async () => {
      const client = await mysql();
      return {
        query: async sql => (await client.query(sql))[0],
        prepared: async sql => (await client.execute(sql))[0],
        last(sql) {
          client.query(sql).catch(() => {});
          streamOf(client).destroy();
        },
        end: () => client.end(),
      };
    },
  ],
  [
    "PostgreSQL, pg",
    async () => {
      const client = await postgresqlClient();
      return {
        query: async sql => (await client.query(sql)).rows,
        prepared: async sql => (await client.query({ text: sql, name: mark() })).rows,
        last(sql) {
          client.query(sql).catch(() => {});
          streamOf(client).destroy();
        },
        end: () => client.end(),
      };
    },
  ],
];

describe.each(clients)("%s", (_, open) => {
  test("an honest statement that is new is held, released and answered", async () => {
    const client = await open();
    const name = mark();
    expect(await client.query(`SELECT 1 AS ${name}`)).toEqual([{ [name]: 1 }]);
    const told = await keeper.heldWith(name);
    expect(told).toMatchObject({ outcome: Outcome.RELEASED, because: Because.NO_SIGNAL });
    expect(await client.prepared(`SELECT 2 AS ${name}`)).toEqual([{ [name]: 2 }]);
    await client.end();
  });

  test.each(["query", "prepared"] as const)(
    "a %s that meets a blocking rule fails at its first use, and neither connection nor transaction ends",
    async how => {
      const client = await open();
      const name = mark();
      await client.query(`CREATE TEMPORARY TABLE t_${name} (a int)`);
      await client.query("BEGIN");
      await client.query(`INSERT INTO t_${name} VALUES (7)`);
      if (open === clients[1]![1]) await client.query("SAVEPOINT here"); // An error aborts the transaction.
      await expect(client[how](`SELECT a AS ${name} FROM t_${name} UNION SELECT 8`)).rejects.toThrow(
        /Picket blocked: sqli-union [0-9a-f]{12}/,
      );
      if (open === clients[1]![1]) await client.query("ROLLBACK TO here");
      expect(await client.query(`SELECT a FROM t_${name}`)).toEqual([{ a: 7 }]);
      await client.query("COMMIT");
      // What nobody waits for is told a little later than it is done.
      const told = () =>
        keeper.held.find(({ sql, outcome }) => sql.includes(name) && outcome !== Outcome.RELEASED);
      await expect.poll(told).toMatchObject({
        outcome: Outcome.SUBSTITUTED,
        because: Because.RULE,
        guarantee: Guarantee.PREVENTED,
        rule: 1,
      });
      await client.end();
    },
  );

  test("in the grey band the agent is asked: what it denies fails, what it releases does not", async () => {
    keeper.policy({ consult: Consult.GREY, failMask: 1 });
    const client = await open();
    const [one, two] = [mark(), mark()];
    const denied = client.query(`SELECT 1 AS ${one} -- why`);
    const first = await keeper.heldWith(one);
    expect(first.outcome).toBe(Outcome.WAITING);
    keeper.answer(first.hold, Answer.DENY, "drift:shop");
    await expect(denied).rejects.toThrow(/Picket blocked: drift:shop/);
    const released = client.query(`SELECT 2 AS ${two} -- why`);
    keeper.answer((await keeper.heldWith(two)).hold, Answer.RELEASE);
    expect(await released).toEqual([{ [two]: 2 }]);
    await client.end();
  });

  test("without an answer in time, what the rules have read and would not block passes, dangerous or not", async () => {
    keeper.policy({ consult: Consult.ALWAYS, deadlineMs: 20, failMask: 0xffff });
    const client = await open();
    const name = mark();
    expect(await client.query(`SELECT 1 AS ${name} -- why`)).toEqual([{ [name]: 1 }]);
    await expect(client.query(`SELECT 1 AS ${name} UNION SELECT 2 -- why`)).rejects.toThrow(/sqli-union/);
    await client.end();
  });

  test("what is sent right before the connection is closed is carried out", async () => {
    const table = `t_${mark()}`;
    const client = await open();
    await client.query(`CREATE TABLE ${table} (a int)`);
    for (let i = 0; i < 20; i++) (await open()).last(`INSERT INTO ${table} (a) VALUES (1) /* ${mark()} */`);
    const count = async () => JSON.stringify(await client.query(`SELECT count(*) AS n FROM ${table}`));
    for (let waited = 0; waited < 200 && !/\b20\b/.test(await count()); waited++)
      await new Promise(resolve => setTimeout(resolve, 20));
    expect(await count()).toMatch(/\b20\b/);
    await client.query(`DROP TABLE ${table}`);
    await client.end();
  });

  test("a keeper that is killed with a statement in its hands costs its connection, which fails and does not hang", async () => {
    keeper.policy({ consult: Consult.ALWAYS, failMask: 1 });
    const client = await open();
    const name = mark();
    const lost = client.query(`SELECT 1 AS ${name}`);
    lost.catch(() => {}); // Looked at below.
    await keeper.heldWith(name);
    const other = await open();
    await renewKeeper();
    expect(keeper.hello).toMatchObject({ severed: 1, notSevered: 0 });
    await expect(lost).rejects.toThrow();
    expect(await other.query("SELECT 1 AS a")).toEqual([{ a: 1 }]);
    await other.end();
    await client.end().catch(() => {});
  });
});

test("PostgreSQL, postgres.js: in a pipeline only the statement that is denied fails", async () => {
  const sql = postgres({ ...pgOptions(), max: 1, ssl: false, onnotice: () => {} });
  const name = mark();
  const results = await Promise.allSettled([
    sql.unsafe(`SELECT 1 AS ${name}`, [], { prepare: true }),
    sql.unsafe(`SELECT 2 AS ${name} UNION ALL SELECT 3`, [], { prepare: true }),
    sql.unsafe(`SELECT 4 AS ${name}`, [], { prepare: true }),
  ]);
  expect(results.map(result => (result.status === "fulfilled" ? result.value[0]![name] : "failed"))).toEqual([
    1,
    "failed",
    4,
  ]);
  expect(String((results[1] as PromiseRejectedResult).reason)).toMatch(/Picket blocked: sqli-union/);
  await sql.end();
});

test("MariaDB: a statement of 8 MB that is new arrives whole", async () => {
  const client = await mysql();
  const text = "abcdefgh".repeat(1 << 20);
  const name = mark();
  const [rows] = await client.query(`SELECT LENGTH('${text}') AS ${name}, SHA2('${text}', 256) AS sum`);
  const [[want]] = (await client.query(
    "SELECT SHA2(REPEAT('abcdefgh', 1048576), 256) AS sum",
  )) as unknown as [[{ sum: string }]];
  expect(rows).toEqual([{ [name]: 8 << 20, sum: want.sum }]);
  await client.end();
});
