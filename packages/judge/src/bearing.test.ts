import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { judge } from "./judge.ts";
import { defaultSession } from "./session.ts";

const core = compiled("");

describe("what a core rule finds where no input arrives is told and not called an attack", () => {
  for (const [verdict, sql] of [
    ["attack", "SELECT a FROM t WHERE b = 1 AND 1 = 1"],
    ["probe", "EXPLAIN SELECT a FROM t WHERE b = 1 AND 1 = 1"],
    ["probe", "CREATE VIEW v AS SELECT a FROM t WHERE b = 1 AND 1 = 1"],
    ["probe", "SELECT f('x' = '') WHERE 2 = 2 OR 1 = 1"],
    ["attack", "SELECT f('x' = '') OR 1 = 1 -- FROM t"],
    ["attack", "SELECT a FROM t WHERE b = 1; DROP TABLE t"],
    ["probe", "SELECT 'x' AS k, a FROM t WHERE b = 1 UNION ALL SELECT 'y', NULL FROM u"],
    ["probe", "/* job */ SELECT 'x' AS k, a FROM t WHERE b = 1 UNION ALL SELECT 'y', NULL FROM u"],
    ["attack", "SELECT a, b FROM t WHERE b = 1 UNION ALL SELECT 'y', NULL FROM u"],
    ["probe", "SELECT a FROM pg_class WHERE b < pg_size_bytes(current_setting('x'))"],
    ["attack", "SELECT a FROM t WHERE b < pg_size_bytes(current_setting('x'))"],
    ["probe", "SELECT a FROM t WHERE b = @1 AND 1 = 0"],
    ["probe", "INSERT INTO t SELECT 1, 0 FROM dual WHERE 1 = (SELECT 1 FROM dual UNION SELECT 2 FROM dual)"],
    ["attack", "SELECT a FROM t WHERE b = (SELECT 1 FROM dual UNION SELECT 2 FROM dual)"],
    ["attack", "SELECT 1 FROM dual WHERE 1 = (SELECT version() FROM dual)"],
    ["attack", "SELECT (SELECT 1 FROM dual UNION SELECT 1 LIMIT 1) -- FROM t WHERE b = 1"],
    ["attack", "UPDATE t SET a = a - (SELECT (1) FROM dual) WHERE id = 3"],
    ["probe", "SELECT a, CASE WHEN EXISTS (SELECT 1 FROM u WHERE u.t = t.id) THEN 1 ELSE 0 END AS b FROM t"],
    ["probe", "SELECT (CASE WHEN EXISTS (SELECT 1 FROM t WHERE t.a = 3) THEN 'yes' ELSE 'no' END)"],
    ["probe", "WITH x AS (SELECT CASE WHEN length(a) > 3 THEN 1 END AS b FROM t) SELECT b FROM x"],
    ["attack", "SELECT a, (CASE WHEN EXISTS (SELECT 1 FROM u) THEN 1 ELSE 0 END) FROM t WHERE c = 3"],
    ["attack", "SELECT a, (SELECT CASE WHEN length(b) > 3 THEN 1 END AS c FROM u) FROM t WHERE c = 3"],
    ["attack", "SELECT a FROM t WHERE b = (CASE WHEN EXISTS (SELECT 1 FROM u) THEN 1 ELSE 0 END)"],
    ["attack", "SELECT a, CASE WHEN 3 = 3 THEN 1 ELSE 0 END AS b FROM t"],
    ["attack", "SELECT a FROM t ORDER BY CASE WHEN length(a) > 3 THEN 1 END"],
    [
      "probe",
      "WITH x AS (SELECT a FROM pg_class) SELECT a, pg_size(current_setting('s')) FROM x WHERE b = 100*1024^2",
    ],
    [
      "probe",
      "SELECT a FROM information_schema.columns UNION SELECT table_name FROM information_schema.tables",
    ],
    ["attack", "SELECT f(3) UNION SELECT table_name FROM information_schema.tables"],
    ["attack", "SELECT a FROM t WHERE b = 3 UNION SELECT table_name FROM information_schema.tables"],
    ["probe", "SELECT a FROM pg_class c, pg_namespace d WHERE b < pg_size_bytes(current_setting('x'))"],
    ["attack", "SELECT a FROM pg_class WHERE b = 3 UNION SELECT password FROM users"],
    ["attack", "SELECT a FROM pg_class WHERE b = 3 UNION SELECT password FROM pg_tables x, users"],
    ["attack", "SELECT a FROM pg_class WHERE b = 3 UNION SELECT passwd FROM pg_shadow"],
    ["probe", "SELECT a FROM t WHERE (0 = 0 OR b = 'x') AND (1 = 0 OR c = 'y') ORDER BY a"],
    [
      "probe",
      "SELECT a FROM t WHERE 1 = 1 AND (7 IS NULL OR t.b = 7) AND (NULL IS NULL OR t.c LIKE 'x') AND d = 3",
    ],
    ["attack", "SELECT a FROM t WHERE b = 'x' OR (1 = 1 OR c = 'y')"],
    ["attack", "SELECT a FROM t WHERE (0 = 0 OR b = 'x') AND 1 = 1"],
    ["attack", "SELECT a FROM t WHERE (0 = 0 OR b = 'x') AND c = 3 OR 1 = 1"],
    ["attack", "SELECT a FROM t WHERE (0 = 0 OR b = 'x') AND (1 = 1 OR (SELECT pin FROM staff) = 3)"],
    ["attack", "SELECT a FROM t WHERE b = 'x' AND (1 = 1 OR c = 'y') -- ' AND d = 3"],
    [
      "probe",
      "SELECT * FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE `A` = 'app' AND `B` = 'x' UNION SELECT * FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE `A` = 'app' AND `B` = 'y'",
    ],
    [
      "probe",
      "SELECT table_name FROM information_schema.tables WHERE table_schema IN (SELECT x FROM generate_series(1, 3) i, string_to_array(current_setting('search_path'), ',') x)",
    ],
  ] as const)
    test(`${verdict}: ${sql}`, () =>
      expect(judge(core, { sql, dialect: "mysql", session: defaultSession("mysql") }).verdict).toBe(verdict));

  test("a rule of one's own is taken at its word", () => {
    const own = compiled(
      "\n  rules:\n    - { id: no-views, title: t, severity: high, action: block, reason: r, tokens: START create view }",
    );
    expect(judge(own, { sql: "CREATE VIEW v AS SELECT 1", dialect: "pg" })).toMatchObject({
      verdict: "attack",
      action: "block",
    });
  });
});
