import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { judge, judgeBatch } from "./judge.ts";
import { defaultSession, parseSession } from "./session.ts";

const core = compiled("");
type Dialect = "mysql" | "pg";

function verdictOf(dialect: Dialect, sql: string | Buffer, session?: string) {
  const bits = parseSession(dialect, session);
  if (!bits.ok) throw new Error(bits.error);
  return judge(core, { sql, dialect, session: bits.value }).verdict;
}

describe("core rules, cold", () => {
  for (const [verdict, dialect, sql] of [
    ["benign", "mysql", "SELECT name FROM users WHERE email = 'o''reilly@example.com'"],
    ["benign", "mysql", "SELECT name FROM users WHERE bio = 'x\\' OR 1=1 -- '"],
    ["benign", "pg", "SELECT body FROM posts WHERE title = 'UNION SELECT 1,2,3 -- explained'"],
    ["benign", "pg", "/* route:/cart */ UPDATE carts SET n = n + 1 WHERE id = $1 /* trace=00-ab */"],
    ["attack", "mysql", "SELECT name FROM users WHERE email = 'x' OR 1=1 -- '"],
    ["attack", "mysql", "SELECT name FROM users WHERE id = 1/**/UNION/**/SELECT/**/1,2"],
    ["attack", "mysql", "SELECT name FROM users WHERE id = 1 /*!50000UNION*/ /*!SELECT*/ 1,2"],
    ["attack", "pg", "SELECT name FROM users WHERE id = 1; DROP TABLE users"],
    ["attack", "pg", "SELECT name FROM users WHERE id = 1 AND 1 = (SELECT 1 FROM pg_sleep(5))"],
    ["probe", "mysql", "SELECT name FROM users WHERE email = 'x"],
    ["probe", "pg", "SELECT name /* from users"],
  ] as const)
    test(`${verdict}: ${dialect} ${sql}`, () => expect(verdictOf(dialect, sql)).toBe(verdict));
});

describe("the session decides what is text and what is code", () => {
  const gbk = (text: string) => Buffer.from(text, "latin1");
  for (const [verdict, dialect, session, sql] of [
    ["attack", "mysql", "SET NAMES gbk", gbk("SELECT a FROM t WHERE b = '\xbf\\' OR 1=1 -- '")],
    ["benign", "mysql", "SET NAMES gbk", gbk("SELECT a FROM t WHERE b = '\xbf\\\\' OR 1=1 -- '")],
    ["benign", "mysql", "SET NAMES utf8mb4", gbk("SELECT a FROM t WHERE b = '\xbf\\' OR 1=1 -- '")],
    ["attack", "mysql", "SET sql_mode='NO_BACKSLASH_ESCAPES'", "SELECT a FROM t WHERE b = 'x\\' OR 1=1 -- '"],
    ["benign", "mysql", "SET sql_mode='STRICT_TRANS_TABLES'", "SELECT a FROM t WHERE b = 'x\\' OR 1=1 -- '"],
    ["attack", "pg", "SET standard_conforming_strings=off", "SELECT a FROM t WHERE b = 'x\\'' OR 1=1 -- '"],
    [
      "benign",
      "pg",
      "SET standard_conforming_strings TO on",
      "SELECT a FROM t WHERE b = 'x\\\\'' OR 1=1 -- '",
    ],
    ["attack", "mysql", "unknown", "SELECT a FROM t WHERE b = 'x\\' OR 1=1 -- '"],
    ["attack", "pg", "unknown", "SELECT a FROM t WHERE b = 'x\\'' OR 1=1 -- '"],
    ["benign", "mysql", "unknown", "SELECT a FROM t WHERE b = 'O\\\\Reilly' AND c = 2"],
  ] as const)
    test(`${verdict}: ${dialect} ${session} ${sql.toString("latin1")}`, () =>
      expect(verdictOf(dialect, sql, session)).toBe(verdict));

  test("a session that says nothing of the kind is an error and not a guess", () => {
    expect(parseSession("mysql", "SET autocommit=0").ok).toBe(false);
    expect(parseSession("pg", "SET sql_mode='ANSI_QUOTES'").ok).toBe(false);
  });

  test("absent, the server's defaults hold", () => {
    expect(parseSession("mysql", undefined)).toEqual({ ok: true, value: defaultSession("mysql") });
    expect(parseSession("pg", " ")).toEqual({ ok: true, value: defaultSession("pg") });
  });
});

describe("what a judgement says", () => {
  const rules = compiled(`  overrides: { trailing-comment: observe }
  shapes:
    - { id: report, action: allow, sql: SELECT a FROM t WHERE b = 1 OR 1=1 }
    - { id: old-login, action: alert, sql: SELECT * FROM login WHERE p = 1 }
  rules:
    - { id: signal, title: T, severity: low, action: alert, reason: R, tokens: "odd '('" }`);
  const of = (sql: string) => judge(rules, { sql, dialect: "pg", session: defaultSession("pg") });

  test("a shape that the rule set names is decided by it, before any token rule", () => {
    expect(of("select a from t where b = 5 or 3=3")).toMatchObject({
      verdict: "benign",
      action: "observe",
      rules: ["report"],
      stage: "shape",
    });
    expect(of("SELECT * FROM login WHERE p = 'x'")).toMatchObject({
      verdict: "attack",
      action: "alert",
      rules: ["old-login"],
      stage: "shape",
    });
    // Literals that differ are another shape than literals that are equal.
    expect(of("select a from t where b = 5 or 3=4")).toMatchObject({
      verdict: "attack",
      stage: "token-rules",
    });
  });

  test("the strongest rule comes first and the strongest action counts", () => {
    expect(of("SELECT a FROM t WHERE b = 1 AND pg_sleep(5) -- x")).toMatchObject({
      verdict: "attack",
      action: "block",
      severity: "critical",
      rules: ["delay", "trailing-comment"],
    });
    expect(of("SELECT a FROM t WHERE b = 1 -- x")).toMatchObject({ verdict: "attack", action: "observe" });
  });

  test("a rule of low severity by itself makes a probe", () => {
    expect(of("SELECT odd(1)")).toMatchObject({ verdict: "probe", action: "alert", rules: ["signal"] });
  });

  test("no literal is in what may be shown", () => {
    const judgement = of("SELECT a FROM t WHERE b = 'secret' AND c = 4711 -- hidden");
    expect(judgement.redacted).toBe("SELECT a FROM t WHERE b = ? AND c = ? -- \n");
    expect(JSON.stringify({ ...judgement, fingerprint: "" })).not.toMatch(/secret|4711|hidden/);
  });

  test("a statement that is never known by its shape has none", () => {
    expect(of("PREPARE s AS SELECT 1").shapeSha256).toBeNull();
    expect(of("SELECT 1").shapeSha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test("many at once are judged like each alone", () => {
    const statements = ["SELECT 1", "SELECT a FROM t WHERE b = 1 OR 1=1 -- x", "SELECT odd(1)"].map(sql => ({
      sql,
      dialect: "pg" as const,
      session: defaultSession("pg"),
    }));
    expect(judgeBatch(rules, statements)).toEqual(
      statements.map(statement => {
        const { redacted: _redacted, ...rest } = judge(rules, statement);
        return rest;
      }),
    );
  });
});

describe("statements that are made to hurt are judged, whatever they are", () => {
  for (const [name, sql] of Object.entries({
    nothing: "",
    "blanks only": " \n\t",
    "a million parentheses": "(".repeat(1_000_000),
    "a hundred thousand version comments": "/*!50000 a*/ ".repeat(100_000),
    "a megabyte of one literal": `SELECT '${"x".repeat(1_000_000)}'`,
    "every byte": Buffer.from(Array.from({ length: 65_536 }, (_, i) => i & 255)),
  }))
    for (const dialect of ["mysql", "pg"] as const)
      test(`${name} in ${dialect}`, () =>
        expect(["benign", "probe", "attack"]).toContain(judge(core, { sql, dialect }).verdict));
});
