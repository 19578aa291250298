/**
 * The kernel reads a statement as the server will: what a client sets is followed from the server's own answers, on
 * real servers with real drivers and raw bytes. What cannot be known is unknown, and never guessed.
 */
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqlSession } from "@picket/native/lexer";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { type WatchedKernel, watchKernel } from "../harness/kernel.ts";

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
  watched = await watchKernel("session");
});

afterAll(async () => {
  await watched?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
});

const MYSQL = { backslashEscapes: true, ansiQuotes: false, charsetUnsafe: false };
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
    [["SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"], { ansiQuotes: true }],
    [["SET sql_mode='ANSI,NO_BACKSLASH_ESCAPES'", "SET sql_mode=DEFAULT"], {}],
    [["SET NAMES utf8mb4, sql_mode='ANSI_QUOTES', autocommit=1"], { ansiQuotes: true }],
    [["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"], {}],
    [["SET NAMES nosuchset"], {}],
    [["SET NAMES gbk, nosuchvariable=1"], {}],
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
