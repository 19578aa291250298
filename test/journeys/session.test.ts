/**
 * The kernel reads a statement as the server will: what a client sets is followed from the server's own answers, on
 * real servers with real drivers and raw bytes. What cannot be known is unknown, and never guessed.
 */
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SqlSession } from "@picket/native/lexer";
import mariadbConnector from "mariadb";
import { type Connection, createConnection } from "mysql2/promise";
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { type WatchedKernel, watchKernel } from "../harness/kernel.ts";
import { comQuery, mysqlPacket, pgQuery, RawMySql, RawPostgres } from "./raw.ts";

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let watched: WatchedKernel;
const scratch = mkdtempSync(join(tmpdir(), "picket-session-"));

beforeAll(async () => {
  const trust = join(scratch, "pg_hba.conf");
  chmodSync(scratch, 0o755);
  writeFileSync(trust, "local all all trust\nhost all all 127.0.0.1/32 trust\n", { mode: 0o644 });
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: "shop" }),
    startPostgreSQL({ database: "shop", settings: { hba_file: trust } }),
  ]);
  await mariadb.exec("CREATE USER raw@'127.0.0.1' IDENTIFIED BY ''; GRANT ALL ON *.* TO raw@'127.0.0.1';");
  await mariadb.exec(`USE shop; CREATE PROCEDURE sets_mode() SET sql_mode='NO_BACKSLASH_ESCAPES';
    CREATE PROCEDURE sets_names() SET NAMES gbk;`);
  watched = await watchKernel("session");
});

afterAll(async () => {
  await watched?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
});

const Danger = { UNTERMINATED: 1 << 9 };
/** Of the two only MariaDB says in its answers whether "..." is a name. */
const SAYS_QUOTES = process.env.PICKET_MYSQLD === undefined;
const MYSQL = { backslashEscapes: true, ansiQuotes: SAYS_QUOTES ? false : undefined, charsetUnsafe: false };
const ANSI = SAYS_QUOTES ? true : undefined;
const PG = { backslashEscapes: false, ansiQuotes: true, charsetUnsafe: false };

let marks = 0;
/** A shape of its own, and what the kernel knew of the session when it was sent. */
async function known(send: (sql: string) => Promise<unknown>): Promise<number> {
  const mark = `mark_${String.fromCharCode(97 + (marks % 26))}${String.fromCharCode(97 + Math.floor(marks++ / 26))}`;
  await send(`SELECT 1 AS ${mark}`);
  return (await watched.told(mark)).session;
}

const facts = (bits: number) => {
  const fact = (knownBit: number, bit: number) => (bits & knownBit ? (bits & bit) !== 0 : undefined);
  const escapes = fact(SqlSession.ESCAPES_KNOWN, SqlSession.NO_BACKSLASH);
  return {
    backslashEscapes: escapes === undefined ? undefined : !escapes,
    ansiQuotes: fact(SqlSession.QUOTES_KNOWN, SqlSession.ANSI_QUOTES),
    charsetUnsafe: fact(SqlSession.CHARSET_KNOWN, SqlSession.CHARSET_UNSAFE),
  };
};

describe("MariaDB, mysql2", () => {
  const cases: [sql: string[], change: Partial<typeof MYSQL> | Record<string, undefined>][] = [
    [[], {}],
    [["SET NAMES gbk"], { charsetUnsafe: true }],
    [["SET NAMES 'gbk' COLLATE 'gbk_chinese_ci'", "SET NAMES utf8mb4"], {}],
    [["SET sql_mode='NO_BACKSLASH_ESCAPES'"], { backslashEscapes: false }],
    [["SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"], { ansiQuotes: ANSI }],
    [["SET sql_mode='ANSI,NO_BACKSLASH_ESCAPES'", "SET sql_mode=DEFAULT"], {}],
    [["SET NAMES utf8mb4, sql_mode='ANSI_QUOTES', autocommit=1"], { ansiQuotes: ANSI }],
    [["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"], {}],
    [["SET NAMES nosuchset"], {}],
    [["SET NAMES gbk, nosuchvariable=1"], {}],
    [["SET NAMES gbk, sql_mode='NO_SUCH_MODE'"], {}],
    [["SET NAMES gbk, NAMES utf8mb4"], {}],
    [["SET NAMES utf8mb4, character_set_client=gbk"], { charsetUnsafe: true }],
    // A routine that sets sql_mode leaves its status behind: not believed, until sql_mode is set in so many words.
    [["CALL sets_mode()"], { backslashEscapes: undefined, ansiQuotes: undefined }],
    [["CALL sets_mode()", "SET sql_mode='STRICT_TRANS_TABLES'"], {}],
    [["CALL sets_names()"], {}],
    [["SET nosuchvariable=1"], {}],
    [["SET @x = (SELECT 1)"], { charsetUnsafe: undefined }],
    [["SET @x = (SELECT 1)", "SET NAMES utf8mb4"], {}],
    [["PREPARE s FROM 'SET NAMES gbk'", "EXECUTE s"], { charsetUnsafe: undefined }],
    [["SET character_set_client=big5"], { charsetUnsafe: true }],
    [["SET character_set_client=DEFAULT"], { charsetUnsafe: undefined }],
    [["SET NAMES utf8mb4", "SET sql_mode='STRICT_TRANS_TABLES'", "SET time_zone='+00:00'"], {}],
  ];
  test.each(cases)("after %j", async (sql, change) => {
    const client = await createConnection({
      host: "127.0.0.1",
      port: mariadb.port,
      user: "raw",
      database: "shop",
    });
    try {
      for (const statement of sql) await client.query(statement).catch(() => {});
      expect(facts(await known(statement => client.query(statement)))).toEqual({ ...MYSQL, ...change });
      // What the kernel knows of the character set is what the server has.
      const [[row]] = (await client.query("SELECT @@character_set_client = 'gbk' AS is_gbk")) as unknown as [
        [{ is_gbk: number }],
      ];
      if (change.charsetUnsafe !== undefined || !("charsetUnsafe" in change))
        expect(row.is_gbk === 1 || sql.some(statement => statement.includes("big5"))).toBe(
          change.charsetUnsafe ?? false,
        );
    } finally {
      client.destroy();
    }
  });
});

describe("PostgreSQL, pg", () => {
  const cases: [sql: string[], change: Partial<typeof PG>][] = [
    [[], {}],
    [["SET standard_conforming_strings=off"], { backslashEscapes: true }],
    [["SET standard_conforming_strings=off", "SET standard_conforming_strings=on"], {}],
    [["SET standard_conforming_strings=off", "RESET standard_conforming_strings"], {}],
    [["SET standard_conforming_strings=off", "RESET ALL"], {}],
    [["SET standard_conforming_strings=off", "DISCARD ALL"], {}],
    [["SELECT set_config('standard_conforming_strings', 'off', false)"], { backslashEscapes: true }],
    [
      ["DO $$BEGIN PERFORM set_config('standard_conforming_strings','off',false); END$$"],
      { backslashEscapes: true },
    ],
    [["SET client_encoding='GBK'"], { charsetUnsafe: true }],
    [["SET client_encoding TO latin1"], {}],
    [["SET NAMES 'SJIS'", "RESET client_encoding"], {}],
    [["SET standard_conforming_strings=maybe"], {}],
    [["SET statement_timeout=0", "SET TIME ZONE 'UTC'", "SET search_path TO public"], {}],
    [["BEGIN", "SET standard_conforming_strings=off"], { backslashEscapes: true }],
    [["BEGIN", "SET standard_conforming_strings=off", "ROLLBACK"], {}],
    [["BEGIN", "SET standard_conforming_strings=off", "SELECT 1/0", "ROLLBACK"], {}],
    [["BEGIN", "SET standard_conforming_strings=off", "SELECT 1", "COMMIT"], { backslashEscapes: true }],
    [["BEGIN", "SET LOCAL standard_conforming_strings=off", "SELECT 1", "COMMIT"], {}],
    [["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"], {}],
  ];
  test.each(cases)("after %j", async (sql, change) => {
    const client = new pg.Client({
      host: "127.0.0.1",
      port: postgresql.port,
      user: postgresql.user,
      database: "shop",
    });
    await client.connect();
    try {
      for (const statement of sql) await client.query(statement).catch(() => {});
      expect(facts(await known(statement => client.query(statement)))).toEqual({ ...PG, ...change });
    } finally {
      await client.end();
    }
  });
});

const mysql2 = () =>
  createConnection({ host: "127.0.0.1", port: mariadb.port, user: "raw", database: "shop" });
const withMysql2 = async (use: (client: Connection) => Promise<void>) => {
  const client = await mysql2();
  try {
    await use(client);
  } finally {
    client.destroy();
  }
};
/** The fingerprint of a statement with this mark in it; 0n is never known. */
const fingerprint = async (sql: string, mark: string, send: (sql: string) => Promise<unknown>) => {
  await send(sql).catch(() => {});
  return (await watched.told(mark)).fingerprint;
};

describe("what an application does at its start", () => {
  const OREILLY = "SELECT 'O\\'Reilly' AS";

  test.each([
    ["Django", ["SET SQL_AUTO_IS_NULL = 0", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"]],
    [
      "Laravel",
      [
        "use `shop`",
        "set names 'utf8mb4' collate 'utf8mb4_unicode_ci'",
        "set session sql_mode='STRICT_TRANS_TABLES'",
      ],
    ],
    [
      "Rails",
      [
        "SET NAMES utf8mb4,  @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.wait_timeout = 2147483",
      ],
    ],
    [
      "WordPress",
      [
        "SET NAMES utf8mb4",
        "SELECT @@SESSION.sql_mode",
        "SET SESSION sql_mode='NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'",
      ],
    ],
    ["Connector/J", ["SET character_set_results = NULL, autocommit=1, sql_mode='STRICT_TRANS_TABLES'"]],
  ])("%s on MariaDB: its literals are known", (name, start) =>
    withMysql2(async client => {
      for (const sql of start) await client.query(sql);
      const mark = `start_${name.toLowerCase().replaceAll(/\W/g, "")}`;
      expect(await fingerprint(`${OREILLY} ${mark}`, mark, sql => client.query(sql))).not.toBe(0n);
    }),
  );

  test("psycopg and Django on PostgreSQL: its literals are known", async () => {
    const client = new pg.Client({
      host: "127.0.0.1",
      port: postgresql.port,
      user: postgresql.user,
      database: "shop",
    });
    await client.connect();
    for (const sql of [
      "SET client_encoding TO 'UTF8'",
      "SELECT set_config('TimeZone', 'UTC', false)",
      "BEGIN",
    ])
      await client.query(sql);
    const sql = "SELECT 'a\\' AS psycopg_start, 'it''s'";
    expect(await fingerprint(sql, "psycopg_start", statement => client.query(statement))).not.toBe(0n);
    await client.end();
  });
});

describe("a trick is read as the server reads it", () => {
  test("GBK: after SET NAMES gbk a swallowed backslash is never known; under utf8mb4 it escapes", async () => {
    const client = await RawMySql.connect(mariadb.port, "raw", "shop");
    const ask = async (sql: string) => {
      await client.send(mysqlPacket(0, Buffer.concat([Buffer.of(3), Buffer.from(sql, "latin1")])));
      return client.answer();
    };
    const trick = (mark: string) => `SELECT '\xbf\\' OR 1=1 AS ${mark} -- '`;
    // One literal, up to the last quote.
    await ask(trick("gbk_before"));
    expect((await watched.told("gbk_before")).fingerprint).not.toBe(0n);
    await ask("SET NAMES gbk");
    expect((await ask(trick("gbk_after"))).ok).toBe(true);
    const told = await watched.told("gbk_after");
    expect(told.fingerprint).toBe(0n);
    expect(facts(told.session)).toEqual({ ...MYSQL, charsetUnsafe: true });
    await ask("SELECT 'x' AS gbk_honest");
    expect((await watched.told("gbk_honest")).fingerprint).not.toBe(0n);
    client.close();
  });

  test("standard_conforming_strings, off and on again: each literal is closed where the server closes it", async () => {
    const client = await RawPostgres.connect(postgresql.port, postgresql.user, "shop");
    const send = async (sql: string) => {
      await client.send(pgQuery(sql));
      return client.answer();
    };
    await send("SET standard_conforming_strings=off");
    expect((await send("SELECT 'a\\'' AS off_literal")).ok).toBe(true);
    expect((await watched.told("off_literal")).fingerprint).not.toBe(0n);
    await send("SET standard_conforming_strings=on");
    expect((await send("SELECT 'a\\' AS on_literal")).ok).toBe(true);
    expect((await watched.told("on_literal")).fingerprint).not.toBe(0n);
    await send("SELECT 'a\\'' AS on_unterminated");
    expect((await watched.told("on_unterminated")).danger & Danger.UNTERMINATED).not.toBe(0);
    client.close();
  });
});

describe("pooled connections", () => {
  test("mysql2 changeUser: the character set is unknown until it is set again, the mode is the new session's", () =>
    withMysql2(async client => {
      await client.query("SET sql_mode='NO_BACKSLASH_ESCAPES'");
      await client.changeUser({ user: "raw", database: "shop" });
      expect(facts(await known(sql => client.query(sql)))).toEqual({ ...MYSQL, charsetUnsafe: undefined });
      await client.query("SET NAMES utf8mb4");
      expect(facts(await known(sql => client.query(sql)))).toEqual(MYSQL);
    }));

  test("COM_RESET_CONNECTION", async () => {
    const client = await RawMySql.connect(mariadb.port, "raw", "shop");
    const ask = async (packet: Buffer) => {
      await client.send(packet);
      return client.answer();
    };
    await ask(comQuery("SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES', NAMES gbk"));
    expect(facts(await known(sql => ask(comQuery(sql))))).toEqual({
      backslashEscapes: false,
      ansiQuotes: ANSI,
      charsetUnsafe: true,
    });
    await ask(mysqlPacket(0, Buffer.of(0x1f)));
    expect(facts(await known(sql => ask(comQuery(sql))))).toEqual({ ...MYSQL, charsetUnsafe: undefined });
    client.close();
  });
});

describe("clients that do not wait", () => {
  test("raw MySQL: a SET sent behind a query leaves everything unknown, for good", async () => {
    const client = await RawMySql.connect(mariadb.port, "raw", "shop");
    const ask = async (sql: string) => {
      await client.send(comQuery(sql));
      return client.answer();
    };
    expect(facts(await known(ask))).toEqual(MYSQL);
    await client.send(
      comQuery("SELECT SLEEP(0.05)"),
      comQuery("SET NAMES gbk"),
      comQuery("SELECT 1 AS piped_mysql"),
    );
    for (let answers = 0; answers < 3; answers++) await client.answer();
    expect((await watched.told("piped_mysql")).session).toBe(0);
    await ask("SET NAMES utf8mb4");
    expect(await known(ask)).toBe(0);
    client.close();
  });

  test("the mariadb connector, pipelining: what is known is true", async () => {
    const client = await mariadbConnector.createConnection({
      host: "127.0.0.1",
      port: mariadb.port,
      user: "raw",
      database: "shop",
      pipelining: true,
    });
    expect(facts(await known(sql => client.query(sql)))).toEqual(MYSQL);
    await Promise.all([
      client.query("SELECT SLEEP(0.05)"),
      client.query("SET NAMES gbk"),
      client.query("SELECT 2"),
    ]);
    const after = await known(sql => client.query(sql));
    if (after !== 0) expect(facts(after)).toEqual({ ...MYSQL, charsetUnsafe: true });
    await client.end();
  });

  test("postgres.js, pipelining: each answer is attributed, what was set is known after", async () => {
    const sql = postgres({
      host: "127.0.0.1",
      port: postgresql.port,
      user: postgresql.user,
      database: "shop",
      max: 1,
      ssl: false,
    });
    await sql`SELECT 1 AS first_pjs`;
    await Promise.all([
      sql.unsafe("SELECT 1 AS piped_a"),
      sql.unsafe("SET standard_conforming_strings=off"),
      sql.unsafe("SELECT 1 AS piped_b"),
      sql.unsafe("SELECT 1 AS piped_c"),
    ]);
    expect((await watched.told("piped_b")).session).toBe(0);
    expect(facts(await known(text => sql.unsafe(text)))).toEqual({ ...PG, backslashEscapes: true });
    await sql.end();
  });

  test("pg, a SET through the extended protocol, by name and without", async () => {
    for (const name of [undefined, "sets"]) {
      const client = new pg.Client({
        host: "127.0.0.1",
        port: postgresql.port,
        user: postgresql.user,
        database: "shop",
      });
      await client.connect();
      const text = "SELECT set_config('standard_conforming_strings', $1, false)";
      await client.query({ ...(name ? { name } : {}), text, values: ["off"] });
      expect(facts(await known(sql => client.query(sql)))).toEqual({ ...PG, backslashEscapes: true });
      await client.query({ ...(name ? { name } : {}), text, values: ["on"] });
      expect(facts(await known(sql => client.query(sql)))).toEqual(PG);
      await client.end();
    }
  });
});

describe("answers are counted for the gate", () => {
  const during = async (use: () => Promise<void>) => {
    const before = watched.slot.responses();
    await use();
    const after = watched.slot.responses();
    return {
      ok: after.ok - before.ok,
      errors: after.errors - before.errors,
      timed: after.latencyLog2Us.reduce(
        (sum, count, bucket) => sum + count - before.latencyLog2Us[bucket]!,
        0,
      ),
    };
  };
  const BIG = 20_000;

  test("MariaDB: each statement of a quiet connection is clocked", async () => {
    const counted = await during(() =>
      withMysql2(async client => {
        for (let turn = 0; turn < 6; turn++) {
          await client.query(`SELECT ${turn}`);
          await delay(40);
        }
      }),
    );
    expect(counted).toEqual({ ok: 6, errors: 0, timed: 6 });
  });

  test("MariaDB: text, prepared, long results, errors", async () => {
    const counted = await during(() =>
      withMysql2(async client => {
        for (let turn = 0; turn < 20; turn++) await client.query(`SELECT ${turn}`);
        for (let turn = 0; turn < 5; turn++) await client.query("SELECT nothing").catch(() => {});
        const columns = "information_schema.columns";
        await client.query(`SELECT REPEAT('x', 50) FROM ${columns} a, ${columns} b LIMIT ${BIG}`);
        for (let turn = 0; turn < 3; turn++) await client.execute("SELECT ? + 1", [turn]);
      }),
    );
    // Prepared once, run three times.
    expect(counted).toEqual({ ok: 20 + 1 + 1 + 3, errors: 5, timed: expect.any(Number) });
    expect(counted.timed).toBeGreaterThanOrEqual(2);
    expect(counted.timed).toBeLessThanOrEqual(30);
  });

  test("PostgreSQL: simple, extended, long results, errors", async () => {
    const counted = await during(async () => {
      const client = new pg.Client({
        host: "127.0.0.1",
        port: postgresql.port,
        user: postgresql.user,
        database: "shop",
      });
      await client.connect();
      for (let turn = 0; turn < 20; turn++) await client.query(`SELECT ${turn}`);
      for (let turn = 0; turn < 5; turn++) await client.query("SELECT nothing").catch(() => {});
      await client.query(`SELECT n, repeat('x', 50) FROM generate_series(1, ${BIG}) AS n`);
      for (let turn = 0; turn < 3; turn++) await client.query("SELECT $1::int + 1", [turn]);
      await client.end();
    });
    expect(counted).toEqual({ ok: 20 + 1 + 3, errors: 5, timed: expect.any(Number) });
    expect(counted.timed).toBeGreaterThanOrEqual(2);
    expect(counted.timed).toBeLessThanOrEqual(29);
  });
});
