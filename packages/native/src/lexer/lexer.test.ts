import { describe, expect, test } from "vitest";
import { lex, randomHashKey, redact, type SqlDialect, sessionBits, tokenize } from "./index.ts";

const key = randomHashKey();
const known = {
  mysql: sessionBits({ backslashEscapes: true, ansiQuotes: false, charsetUnsafe: false }),
  pg: sessionBits({ backslashEscapes: false, ansiQuotes: true, charsetUnsafe: false }),
};
const lexed = (dialect: SqlDialect, sql: string) => lex(sql, { dialect, session: known[dialect], key });

describe("shapes", () => {
  for (const [dialect, sql, shape] of [
    ["mysql", "SELECT * FROM t WHERE a = 'x' AND b=3", "select * from t where a = ? and b = ?"],
    ["mysql", "SELECT `A b` FROM t -- x\n", 'select "A b" from t /*--*/'],
    ["mysql", 'SELECT `a"b\\` , "lit"', 'select "a""b\\\\" , ?'],
    ["pg", 'SELECT "a""b" /* x */ , $1', 'select "a""b" /**/ , :?'],
    ["pg", 'SELECT "a""""b"', 'select "a""""b"'],
    ["mysql", "SELECT 1 = 1, 'a' <> 'b'", "select ? = ?= , ? < > ?!"],
    ["mysql", "SELECT a FROM t WHERE b IN (1,2,3)", "select a from t where b in ( ? )"],
    ["mysql", "INSERT INTO t VALUES (1,'a'),(2,'b')", "insert into t values ( ? , ? )"],
    ["mysql", "SAVEPOINT sp_123", "savepoint sp_0"],
    ["mysql", "SELECT größe", "select größe"],
  ] as const)
    test(`${dialect}: ${sql} has the shape ${shape}`, () => expect(lexed(dialect, sql).shape).toBe(shape));

  test("the dialect is part of the digest and of the fingerprint", () => {
    const [mysql, pg] = [lexed("mysql", "select 1"), lexed("pg", "select 1")];
    expect(mysql.shape).toBe(pg.shape);
    expect(mysql.shapeSha256).not.toBe(pg.shapeSha256);
    expect(mysql.fingerprint).not.toBe(pg.fingerprint);
  });

  test("another key gives another fingerprint and the same shape", () => {
    const again = lex("select 1", { dialect: "mysql", session: known.mysql, key: randomHashKey() });
    expect(again.fingerprint).not.toBe(lexed("mysql", "select 1").fingerprint);
    expect(again.shapeSha256).toBe(lexed("mysql", "select 1").shapeSha256);
  });

  test("bytes that are not UTF-8 are told apart", () => {
    const shape = (bytes: number[]) =>
      lex(Uint8Array.from(bytes), { dialect: "mysql", session: known.mysql }).shape;
    expect(shape([0x61, 0xff])).toBe("a\\xff");
    expect(shape([0x61, 0xfe])).toBe("a\\xfe");
  });
});

test("a statement that is never known says so", () => {
  for (const sql of ["select 'open", "select 1x", "prepare s from 'select 1'", "set @a = 1"])
    expect(lexed("mysql", sql)).toMatchObject({ fingerprint: 0n, neverKnown: true });
});

test("danger is told by name", () => {
  expect(lexed("mysql", "select 1 union select sleep(1); select 2 = 2 -- x").danger).toEqual([
    "union",
    "second-statement",
    "comment",
    "delay",
    "literal-comparison",
  ]);
});

test("tokens have their places, also those that a list folds", () => {
  const sql = "a IN(1,-2.5,'x')--5";
  const tokens = tokenize(sql, { dialect: "mysql", session: known.mysql });
  expect(tokens.map(token => token.text)).toEqual([
    "a",
    "IN",
    "(",
    "1",
    ",",
    "-",
    "2.5",
    ",",
    "'x'",
    ")",
    "-",
    "-",
    "5",
  ]);
  for (const token of tokens) expect(token.text).toBe(sql.slice(token.start, token.end));
});

describe("redaction", () => {
  for (const [dialect, session, sql, redacted] of [
    ["mysql", known.mysql, "SELECT  'a''b', 12 -- hi\n, c", "SELECT ?, ? -- \n , c"],
    ["mysql", known.mysql, "SELECT 'a\\'b', c", "SELECT ?, c"],
    ["mysql", 0, "SELECT 'a\\'b', c", "SELECT ?"],
    ["mysql", 0, 'SELECT "a", c', "SELECT ?, c"],
    ["mysql", known.mysql, "SELECT 'secret", "SELECT ?"],
    ["mysql", known.mysql, "SELECT /* secret", "SELECT /**/"],
    ["mysql", known.mysql, "SELECT 1 /*!50000UNION*/ SELECT 2", "SELECT ? /*!*/ SELECT ?"],
    ["mysql", known.mysql, "SELECT 1 /*! ' */ secret ' */", "SELECT ? ?"],
    ["pg", known.pg, "SELECT $a$ secret $a$, E'a\\'b'", "SELECT ?, ?"],
    ["pg", known.pg, "SELECT $a$ secret", "SELECT ?"],
    ["pg", known.pg, "SELECT 0xSECRET, 1.2.3secret", "SELECT ?, ?"],
    ["pg", 0, "SELECT 54j'a\\'b secret n'5 secret", "SELECT ?"],
  ] as const)
    test(`${dialect} session ${session}: ${sql}`, () =>
      expect(redact(sql, { dialect, session })).toBe(redacted));
});
