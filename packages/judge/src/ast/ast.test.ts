import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { compiled } from "../../test/support.ts";
import { judge } from "../judge.ts";
import { defaultSession, parseSession } from "../session.ts";
import { analyse, loadParser } from "./analyse.ts";
import { Escalation, isGrey } from "./escalation.ts";
import { parserText } from "./text.ts";

const core = compiled("");
const parsers = { mysql: await loadParser("mysql"), pg: await loadParser("pg") };
type Dialect = "mysql" | "pg";

const statement = (sql: string, dialect: Dialect = "pg") =>
  ({ sql, dialect, session: defaultSession(dialect) }) as const;
const judged = (sql: string, dialect: Dialect = "pg") => judge(core, statement(sql, dialect));

describe("what a parser sees in a statement, in both dialects", () => {
  for (const [rules, sql] of [
    ["", "SELECT a FROM t WHERE b = 1 AND c > 2 ORDER BY d LIMIT 10"],
    ["", "SELECT a FROM t WHERE 1 = 1 AND b = 2 AND c = 3"],
    ["", "SELECT a FROM t WHERE b = 2 AND 1 = 0"],
    ["", "SELECT a FROM t WHERE b < now() OR c = 2"],
    ["", "SELECT count(*) FROM t GROUP BY a HAVING count(*) > 3 OR sum(b) > 4"],
    ["", "SELECT a FROM t ORDER BY b = 2, c"],
    ["", "SELECT a, b FROM t UNION SELECT c, d FROM u"],
    ["", "UPDATE t SET a = b + 1 WHERE c = 2"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 OR NOT false"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 OR abs(-2) > 1"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 AND coalesce(null, 3) = 3"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 OR (((2 > 1)))"],
    ["ast-constant-condition", "DELETE FROM t WHERE b = 1 OR length('x') = 1"],
    ["ast-constant-comparison", "SELECT a FROM t WHERE b = ('x' = 'y')"],
    ["ast-same-column", "SELECT a FROM t WHERE b = b"],
    ["ast-condition-in-list", "SELECT a FROM t ORDER BY 1 = 2"],
    ["ast-list-subquery", "SELECT a FROM t ORDER BY (SELECT (SELECT max(k) FROM u))"],
    ["", "SELECT a FROM t ORDER BY (SELECT max(k) FROM u WHERE u.id = t.id)"],
    ["ast-condition-as-value", "INSERT INTO t (a) VALUES (('x' = 'y'))"],
    ["ast-condition-as-value", "UPDATE t SET a = (1 = 2) WHERE b = 3"],
    ["ast-condition-as-value", "INSERT INTO t (a) VALUES (199 + (b = b))"],
    ["ast-condition-as-value", "DELETE FROM t WHERE a IN (5 % (NOT b <> b))"],
    ["", "SELECT a, 3 * (b = 7) AS c FROM t WHERE d = 1"],
    [
      "ast-constant-decision",
      "SELECT a FROM t ORDER BY (CASE WHEN concat('x', 'y') LIKE 'x' THEN a ELSE b END)",
    ],
    ["ast-constant-decision", "UPDATE t SET a = (CASE WHEN sign(7) = 1 THEN 3 ELSE 4 END) WHERE b = 2"],
    ["ast-constant-decision", "SELECT a FROM t WHERE b = (CASE WHEN c >= c THEN 3 ELSE 4 END)"],
    [
      "ast-condition-in-list ast-odd-subquery ast-constant-decision",
      "SELECT a FROM t ORDER BY a LIMIT (SELECT CASE WHEN length('x') = 1 THEN 1 ELSE 2 END)",
    ],
    ["", "SELECT a FROM t ORDER BY (CASE WHEN b > 3 THEN a ELSE b END)"],
    ["", "DELETE FROM t WHERE CASE WHEN length('x') > 0 THEN a = 'x' ELSE b = 'y' END"],
    [
      "",
      "WITH k AS (SELECT CASE WHEN length('x') > 7 THEN 'day' ELSE 'hour' END) SELECT a FROM t WHERE b = (SELECT * FROM k)",
    ],
    ["", "SELECT a FROM t ORDER BY (CASE b WHEN 3 THEN a ELSE b END)"],
    ["", "SELECT a FROM t WHERE b < (CASE WHEN now() > c THEN 3 ELSE 4 END)"],
    ["ast-condition-in-list", "SELECT a FROM t ORDER BY a, (reverse('x'))"],
    ["", "SELECT a FROM t ORDER BY random()"],
    ["ast-condition-in-list ast-odd-subquery", "SELECT a FROM t ORDER BY (SELECT mod(30, 1) = 0)"],
    ["", "SELECT a FROM t WHERE true AND (false OR b = 3)"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 3 AND (CASE WHEN true THEN 1 ELSE 0 END)"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 3 OR (abs(1) = 1 OR c = 3)"],
    ["ast-odd-subquery", "SELECT a FROM t WHERE b = (SELECT 7)"],
    [
      "ast-foreign-value ast-catalogue",
      "SELECT a FROM t WHERE b = (SELECT max(table_name) FROM information_schema.tables)",
    ],
    ["ast-union-width", "SELECT a FROM t UNION SELECT b, c, d FROM u"],
    ["ast-union-constants", "SELECT a FROM t WHERE b = 1 UNION SELECT 7"],
    ["ast-server-function", "SELECT a FROM t WHERE b = version()"],
    ["", "SELECT a FROM t WHERE 1 = 0 OR b = 2"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 OR NOT false AND c = 2"],
    ["ast-foreign-question", "SELECT a FROM t WHERE b = 1 AND (SELECT k FROM u WHERE l = 'root') LIKE 'p%'"],
    [
      "ast-foreign-question ast-foreign-value",
      "SELECT a FROM t WHERE b = 1 AND coalesce((SELECT k FROM u LIMIT 1), 'x') = 'y'",
    ],
    ["ast-foreign-question", "SELECT a FROM t WHERE b = 1 OR EXISTS (SELECT 2)"],
    ["", "SELECT a FROM t WHERE b = 1 AND (SELECT count(*) FROM u WHERE u.t_id = t.id) > 3"],
    ["", "SELECT a FROM t WHERE b = 1 AND EXISTS (SELECT 1 FROM u WHERE kind = 'x')"],
    ["ast-union-strangers", "SELECT a, b FROM t WHERE c = 1 UNION SELECT k, l FROM u"],
    ["ast-union-strangers", "SELECT a, b FROM t WHERE c = 1 UNION SELECT * FROM u"],
    ["", "SELECT a, b FROM t WHERE c = 1 UNION SELECT b, k FROM u"],
    ["", "SELECT a FROM t WHERE c = 1 UNION SELECT sum(k) FROM u"],
    ["ast-union-constants", "SELECT a FROM t WHERE c = 1 UNION VALUES (7)"],
    ["ast-constant-comparison ast-condition-as-value", "SELECT a FROM t WHERE b > (7 = 7) * 1"],
    ["ast-condition-as-value", "UPDATE t SET a = a - 7 OR b = b WHERE c = 3"],
    ["ast-list-subquery ast-foreign-value", "SELECT a FROM t ORDER BY (SELECT k FROM u LIMIT 1)"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 AND (1, 2) = (1, 2)"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 AND cast('7' AS char(1)) = '7'"],
    ["", "SELECT a FROM t WHERE b > 1 AND CASE WHEN c > 0 THEN c / d ELSE NULL END > 0.1"],
    ["", "SELECT a FROM t ORDER BY (SELECT max(u.at) FROM u WHERE u.t_id = t.id)"],
    ["ast-foreign-value", "SELECT a FROM t WHERE flight_id = (SELECT secret FROM u WHERE login = 'root')"],
    ["ast-foreign-value", "SELECT a FROM t WHERE price > (SELECT secret FROM u)"],
    ["ast-foreign-value", "SELECT a FROM t WHERE b = (SELECT count(*) FROM u)"],
    ["ast-foreign-value", "UPDATE t SET a = coalesce((SELECT k FROM u LIMIT 1), 1) WHERE b = 2"],
    ["", "SELECT a FROM t WHERE role_id = (SELECT id FROM roles WHERE label = 'x')"],
    ["", "SELECT a FROM t WHERE country = (SELECT iso FROM countries WHERE label = 'x')"],
    ["", "SELECT a FROM t WHERE price > (SELECT value FROM settings WHERE label = 'x')"],
    ["", "SELECT a FROM t WHERE price > (SELECT avg(price) FROM u)"],
    ["", "SELECT a FROM t GROUP BY a HAVING count(*) = (SELECT count(*) FROM u)"],
    ["", "SELECT a FROM t WHERE hue = (SELECT max(tint) FROM t)"],
    ["ast-foreign-value", "UPDATE t SET folder = (SELECT secret FROM u WHERE login = 'root') WHERE b = 2"],
    ["ast-foreign-value", "INSERT INTO t (a, b) VALUES (1, 2), (3, (SELECT min(secret) FROM u))"],
    ["", "UPDATE t SET total = (SELECT sum(price) FROM u WHERE t_id = 3) WHERE b = 2"],
    ["", "UPDATE t SET members = (SELECT count(*) FROM u) WHERE b = 2"],
    ["", "INSERT INTO t (role_id) VALUES ((SELECT id FROM u WHERE label = 'x'))"],
    ["ast-calculated-key", "SELECT a FROM t WHERE user_id = 8 - 1"],
    ["", "SELECT a FROM t WHERE year = 1999 + 1"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 4 OR CASE WHEN 2 > 1 THEN true ELSE false END"],
    ["ast-condition-as-value", "INSERT INTO t (a) VALUES (4 IS NOT NULL)"],
    ["ast-condition-as-value", "SELECT a FROM t WHERE b LIKE lower('x' AND c = 3)"],
    ["ast-condition-as-value", "CALL p(4 OR b = 2)"],
    ["ast-condition-as-value", "INSERT INTO t (a, b) SELECT 4 OR c = 1, d FROM u"],
    [
      "ast-foreign-question ast-foreign-value",
      "SELECT CASE WHEN a > 4 AND (SELECT k FROM u LIMIT 1) > 'b' THEN 'x' END FROM t",
    ],
    ["", "SELECT CASE WHEN a > 4 AND b < 2 THEN 'x' ELSE 'y' END FROM t"],
    ["", "SELECT count(a = 1 OR null) FROM t"],
    ["", "SELECT a FROM t WHERE b = 1 AND (cast('x' AS char) IS NULL OR c = 'x')"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 OR cast('x' AS char) IS NULL"],
    ["ast-constant-condition", "SELECT a FROM t WHERE b = 1 AND (cast('x' AS char) IS NOT NULL OR c = 'x')"],
    ["", "WITH u AS (SELECT count(*) AS n FROM v) SELECT a FROM t WHERE b = 1 AND (SELECT n FROM u) > 0"],
    ["", "INSERT INTO t (a) VALUES (nullif('x', ''))"],
    [
      "ast-foreign-question",
      "SELECT x.a FROM (SELECT a FROM t) x WHERE x.a = 4 AND (SELECT k FROM u WHERE l = 'r') LIKE 'p%'",
    ],
    ["ast-union-strangers", "SELECT count(*) FROM t WHERE c = 1 UNION SELECT * FROM u"],
    ["ast-union-strangers", "SELECT a, b FROM t WHERE c = 1 UNION SELECT k, null FROM u"],
    ["ast-union-strangers", "SELECT a FROM t WHERE c = 1 UNION SELECT cast(k AS char) FROM u"],
    [
      "ast-union-strangers",
      "SELECT a FROM t WHERE c = 1 UNION SELECT a FROM v WHERE c = 1 UNION SELECT k FROM u",
    ],
  ] as const)
    for (const dialect of ["mysql", "pg"] as const)
      test(`${dialect}: ${rules || "nothing"} in ${sql}`, () =>
        expect(analyse(parsers[dialect], sql, dialect)).toEqual({
          kind: "parsed",
          rules: rules === "" ? [] : rules.split(" "),
        }));

  test("a text that is called true is true", () =>
    expect(analyse(parsers.pg, "SELECT a FROM t WHERE b = 1 OR bool 't'", "pg")).toMatchObject({
      rules: ["ast-constant-condition"],
    }));

  test("half of a UNION may have queries of its own, and they are looked at", () =>
    expect(
      analyse(
        parsers.pg,
        "SELECT a FROM t UNION (WITH x AS (SELECT a FROM u WHERE b = 1 OR NOT false) SELECT a FROM x)",
        "pg",
      ),
    ).toMatchObject({ rules: ["ast-constant-condition"] }));

  test("constants that contain one another are compared", () =>
    expect(analyse(parsers.pg, "SELECT a FROM t WHERE b = 1 OR ARRAY[2] @> ARRAY[2]", "pg")).toMatchObject({
      rules: ["ast-constant-condition"],
    }));

  test.each([
    ["mysql", "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 'x' AND b = 1"],
    ["pg", "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 'x' AND b = 1"],
    ["pg", "SELECT * FROM f(4 OR b = 1)"],
  ] as const)("%s: a condition where a value is written is one in %s, too", (dialect, sql) =>
    expect(analyse(parsers[dialect], sql, dialect)).toMatchObject({ rules: ["ast-condition-as-value"] }),
  );

  test("BINARY is about the text behind it alone", () =>
    expect(
      analyse(parsers.mysql, "SELECT a FROM t WHERE b LIKE BINARY 'x' OR c LIKE BINARY 'y'", "mysql"),
    ).toMatchObject({ rules: [] }));

  test("code in a version comment is code", () =>
    expect(
      analyse(parsers.mysql, "SELECT a FROM t WHERE b = 1 /*!50000OR NOT*/ false", "mysql"),
    ).toMatchObject({
      rules: ["ast-constant-condition"],
    }));
});

describe("what is grey is asked about, in a process of its own", () => {
  const escalation = new Escalation({ idleMs: 100 });
  afterAll(() => escalation.close());
  const escalated = (sql: string, dialect: Dialect = "pg") =>
    escalation.escalate(judged(sql, dialect), statement(sql, dialect));

  test("an ordinary statement is not", () => {
    expect(isGrey(judged("SELECT a FROM t WHERE b = 1 AND c = 'x' ORDER BY d"))).toBe(false);
    expect(isGrey(judged("UPDATE t SET a = 1 WHERE b = 2"))).toBe(false);
  });

  for (const [verdict, dialect, sql] of [
    ["attack", "pg", "SELECT a FROM t WHERE b = 1 OR abs(-2) > 1"],
    ["attack", "mysql", "SELECT a FROM t WHERE b = 1 OR abs(-2) > 1"],
    ["probe", "pg", "SELECT a FROM t WHERE b = 1 OR OR c = 2"],
    ["probe", "pg", "SELECT a FROM t WHERE b = 1 OR c = (SELECT 7)"],
    ["benign", "mysql", "SELECT a FROM t WHERE b = 1 OR c = 2"],
  ] as const)
    test(`${verdict}: ${dialect} ${sql}`, async () => {
      expect(judged(sql, dialect).verdict).toBe("benign");
      expect((await escalated(sql, dialect)).verdict).toBe(verdict);
    });

  test("a parser reads literals as the session does, and sees none", async () => {
    const sql = "SELECT a FROM t WHERE b = 'x\\' OR c = 'geheim' OR d = 12.5 OR e = ' OR abs(2) > 1 OR '";
    const session = parseSession("mysql", "SET sql_mode='NO_BACKSLASH_ESCAPES'");
    if (!session.ok) throw new Error(session.error);
    const statement = { sql, dialect: "mysql", session: session.value } as const;
    expect(parserText(statement)).toBe("SELECT a FROM t WHERE b = 's' OR c = 's' OR d = 12.5 OR e = 's'");
    expect((await escalation.escalate(judge(core, statement), statement)).verdict).toBe("benign");
  });

  test("what is a literal in one character set and code in another is not asked about", () => {
    const session = parseSession("mysql", "SET NAMES gbk");
    if (!session.ok) throw new Error(session.error);
    const sql = Buffer.from("SELECT a FROM t WHERE b = '\xbf\\\\' OR 1=1 -- '", "latin1");
    const { danger, verdict } = judge(core, { sql, dialect: "mysql", session: session.value });
    expect([danger.includes("ambiguous"), verdict]).toEqual([true, "benign"]);
    expect(isGrey(judge(core, { sql, dialect: "mysql", session: session.value }))).toBe(false);
  });

  test("once for a shape", async () => {
    const before = escalation.counts.asked;
    for (const value of [1, 2, 3]) await escalated(`SELECT once FROM t WHERE b = ${value} OR c = 2`);
    expect(escalation.counts.asked - before).toBe(1);
  });

  for (const [name, sql] of [
    ["100,000 brackets", `SELECT a FROM t WHERE b = 1 OR ${"(".repeat(100_000)}1${")".repeat(100_000)}`],
    ["50,000 items", `SELECT a FROM t WHERE b IN (${"1,".repeat(50_000)}1) OR c = 2`],
    [
      "150 brackets, which are too many for one parser",
      `SELECT a FROM t WHERE b = 1 OR ${"(".repeat(150)}c${")".repeat(150)} = 2`,
    ],
  ] as const)
    test(`${name} end as a probe, and the next question is answered`, async () => {
      expect((await escalated(sql, "mysql")).verdict).toBe("probe");
      expect((await escalated("SELECT a FROM t WHERE b = 1 OR abs(-2) > 1", "mysql")).verdict).toBe("attack");
    });

  test("a literal of 16 MB is a literal", async () => {
    const sql = `SELECT huge FROM t WHERE b = 1 OR c = '${"x".repeat(16 << 20)}'`;
    expect((await escalated(sql, "mysql")).verdict).toBe("benign");
  });

  test("a statement that takes too long is a probe, and the parser's process is replaced", async () => {
    const hasty = new Escalation({ timeoutMs: 1, loadMs: 0 });
    const sql = "SELECT a FROM t WHERE b = 1 OR abs(-2) > 1";
    expect(await hasty.escalate(judged(sql), statement(sql))).toMatchObject({
      verdict: "probe",
      rules: ["ast-unparsed"],
    });
    expect(hasty.counts.timedOut).toBe(1);
    expect(hasty.loaded).toBe(false);
    await hasty.close();
  });

  test("a process that has its answer ends, however long the parser would wait for questions", async () => {
    const script = `(async () => {
      const { Escalation } = await import(${JSON.stringify(new URL("../../dist/ast/escalation.js", import.meta.url))});
      const grey = { verdict: "benign", severity: "low", stage: "token-rules", danger: [], drift: null, rules: [],
        shape: "select a from t where b = ? or c ( ? ) > ?", shapeSha256: null, action: "observe" };
      const sql = "SELECT a FROM t WHERE b = 1 OR abs(2) > 1";
      const { verdict } = await new Escalation({ idleMs: 3_600_000 }).escalate(grey, { sql, dialect: "pg" });
      console.log(verdict);
    })()`;
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], {
      timeout: 25_000,
    });
    expect(stdout.trim()).toBe("attack");
  }, 30_000);

  test("the parser ends when nothing is asked", async () => {
    await escalated("SELECT idle FROM t WHERE b = 1 OR abs(-2) > 1");
    expect(escalation.loaded).toBe(true);
    await expect.poll(() => escalation.loaded, { timeout: 10_000 }).toBe(false);
    expect((await escalated("SELECT awake FROM t WHERE b = 1 OR abs(-2) > 1")).verdict).toBe("attack");
  });
});
