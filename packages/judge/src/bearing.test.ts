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
    ["attack", "SELECT a, b FROM t WHERE b = 1 UNION ALL SELECT 'y', NULL FROM u"],
    ["probe", "SELECT a FROM pg_class WHERE b < pg_size_bytes(current_setting('x'))"],
    ["attack", "SELECT a FROM t WHERE b < pg_size_bytes(current_setting('x'))"],
    ["probe", "SELECT a FROM t WHERE b = @1 AND 1 = 0"],
    ["probe", "INSERT INTO t SELECT 1, 0 FROM dual WHERE 1 = (SELECT 1 FROM dual UNION SELECT 2 FROM dual)"],
    ["attack", "SELECT a FROM t WHERE b = (SELECT 1 FROM dual UNION SELECT 2 FROM dual)"],
    ["attack", "SELECT 1 FROM dual WHERE 1 = (SELECT version() FROM dual)"],
    ["attack", "SELECT (SELECT 1 FROM dual UNION SELECT 1 LIMIT 1) -- FROM t WHERE b = 1"],
    ["attack", "UPDATE t SET a = a - (SELECT (1) FROM dual) WHERE id = 3"],
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
