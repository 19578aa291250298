import { lex, shapeAlgorithm } from "@picket/native/lexer";
import { backtestSummary } from "@picket/shared/backtest";
import { SHAPE_ALGORITHM } from "@picket/shared/shape";
import type { Dialect } from "@picket/shared/vocabulary";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { createBacktest, type Replayed } from "./backtest.ts";
import { judge } from "./judge.ts";
import { statementsOf } from "./replay.ts";
import { defaultSession } from "./session.ts";

const shapeOf = (sql: string | Buffer, dialect: Dialect) =>
  lex(sql, { dialect, session: defaultSession(dialect) });
const replay = (sql: string | Buffer, dialect: Dialect) => {
  const { shape, shapeSha256 } = shapeOf(sql, dialect);
  return statementsOf(shape, dialect, shapeSha256);
};

describe("a statement made of a stored shape", () => {
  for (const sql of [
    "SELECT a, 'it''s' FROM t WHERE b = 1 OR 1 = 1 OR 2 = 3",
    'SELECT `Weird ``Col`, `a"b` FROM t',
    'SELECT "A ""b" FROM t WHERE c = $1 AND d = $2',
    "SELECT 1 FROM t WHERE a IN (1, 2, 3) AND b IN (1, NULL, 3)",
    "INSERT INTO t VALUES (1, 2), (3, 4), (5, NULL)",
    "INSERT INTO t VALUES (1, 2), (-3, f(4))",
    "SELECT a -- x\nFROM t # y\n /* z */ /*+ hint */",
    "SELECT a::text, b || 'x', c->>'d', @@version FROM t; SELECT 2",
    "SELECT '\\\\' FROM naïve_tabelle",
  ])
    for (const dialect of ["mysql", "pg"] as const)
      test(`${dialect}: has the shape of ${JSON.stringify(sql)}, twice, and none of its literals`, () => {
        const { neverKnown, shapeSha256 } = shapeOf(sql, dialect);
        const statements = replay(sql, dialect);
        if (neverKnown) return;
        expect(statements).toHaveLength(2);
        for (const statement of statements) {
          expect(shapeOf(statement, dialect).shapeSha256).toBe(shapeSha256);
          expect(statement.toString()).not.toMatch(/it''s/);
        }
      });

  test("control plane and lexer mean the same by a digest", () => {
    expect(SHAPE_ALGORITHM).toBe(shapeAlgorithm);
  });

  test("a shape that is not what its digest says is not replayed", () => {
    expect(statementsOf("select ?", "pg", "0".repeat(64))).toEqual([]);
  });

  test("is made of any text without throwing", () => {
    fc.assert(
      fc.property(
        // Words of the prototype, too: "valueOf" is no comment.
        fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("valueOf", "__proto__", "constructor ?")),
        fc.constantFrom("mysql" as const, "pg" as const),
        (text, dialect) => {
          statementsOf(text, dialect, "");
        },
      ),
    );
  });

  test("core rules say of it what they say of the statement itself", () => {
    const core = compiled("");
    for (const sql of [
      "SELECT a FROM t WHERE b = 'x' OR 1=1 -- ",
      "SELECT a FROM t WHERE b = 1 UNION SELECT NULL, pw FROM users",
      "SELECT a FROM t WHERE b = 1 AND sleep(5)",
      "SELECT a FROM t WHERE b = 1",
    ]) {
      const session = defaultSession("mysql");
      const verdict = judge(core, { sql, dialect: "mysql", session }).verdict;
      expect(
        replay(sql, "mysql").map(made => judge(core, { sql: made, dialect: "mysql", session }).verdict),
      ).toEqual([verdict, verdict]);
    }
  });
});

describe("a backtest", () => {
  const stored = (sql: string, statements: number, more: Partial<Replayed> = {}): Replayed => ({
    key: sql,
    spellings: [sql],
    dialect: "pg",
    session: defaultSession("pg"),
    statements,
    context: {},
    isNew: false,
    nodes: 1,
    workloads: [],
    ...more,
  });
  const rules = (...lines: string[]) =>
    compiled(
      `  core: false\n  rules:\n${lines.map((line, i) => `    - { id: r${i}, title: T, severity: high, reason: R, ${line} }`).join("\n")}`,
    );
  const candidate = rules("action: block, pattern: DROP TABLE", "action: alert, pattern: FROM audit");

  test("counts statements and shapes by what would have become of them", () => {
    const backtest = createBacktest({ candidate, baseline: null });
    backtest.feed(stored("SELECT 1", 40_999_990));
    backtest.feed(stored("SELECT a FROM audit", 9, { isNew: true }));
    backtest.feed(stored("DROP TABLE audit", 1));
    backtest.feed(stored("", 3, { spellings: [] }));
    const report = backtest.report();
    expect(report).toMatchObject({
      shapes: 4,
      statements: 41_000_003,
      notReplayed: { shapes: 1, statements: 3 },
      outcomes: {
        block: { shapes: 1, statements: 1 },
        alert: { shapes: 1, statements: 9 },
        observe: { shapes: 0, statements: 0 },
        pass: { shapes: 1, statements: 40_999_990 },
      },
      byRule: [
        { rule: "r1", shapes: 1, statements: 9 },
        { rule: "r0", shapes: 1, statements: 1 },
      ],
      changes: null,
      newShapes: { shapes: 1, statements: 9 },
    });
    expect(report.examples.block).toMatchObject([{ sql: "DROP TABLE audit", rules: ["r0"], statements: 1 }]);
    expect(backtestSummary(report)).toBe(
      "would have blocked 1 of 41 M statements (1 of 4 shapes), alerted on 9, 1 shape is new, 1 could not be replayed",
    );
  });

  test("beside the rule set in use it says what would change", () => {
    const baseline = rules("action: block, pattern: TRUNCATE TABLE", "action: alert, pattern: FROM audit");
    const backtest = createBacktest({ candidate, baseline });
    for (const [sql, statements] of [
      ["DROP TABLE a", 5],
      ["TRUNCATE TABLE a", 7],
      ["SELECT a FROM audit", 11],
      ["SELECT 1", 13],
    ] as const)
      backtest.feed(stored(sql, statements));
    expect(backtest.report().changes).toMatchObject({
      newlyBlocked: { shapes: 1, statements: 5, examples: [{ sql: "DROP TABLE a" }] },
      newlyAlerted: { shapes: 0, statements: 0, examples: [] },
      noLongerBlocked: { shapes: 1, statements: 7, examples: [{ sql: "TRUNCATE TABLE a" }] },
    });
  });

  test("of two spellings the one that would be stopped counts", () => {
    const backtest = createBacktest({
      candidate: rules("action: block, tokens: = STRING"),
      baseline: null,
    });
    backtest.feed(stored("", 1, { spellings: replay("SELECT 1 FROM t WHERE a = 1", "pg") }));
    expect(backtest.report().outcomes.block.shapes).toBe(1);
  });

  test("a shape that several workloads use is one shape, and judged for each", () => {
    const backtest = createBacktest({
      candidate: rules("action: block, pattern: DROP TABLE, match: { workload: shop }"),
      baseline: null,
    });
    for (const [workload, statements] of [
      ["blog", 3],
      ["shop", 5],
    ] as const)
      backtest.feed(stored("DROP TABLE a", statements, { context: { workload } }));
    expect(backtest.report()).toMatchObject({
      shapes: 1,
      statements: 8,
      outcomes: { block: { shapes: 1, statements: 5 }, pass: { shapes: 1, statements: 3 } },
    });
  });

  test("keeps the most used examples and no more", () => {
    const backtest = createBacktest({ candidate, baseline: null });
    for (let i = 0; i < 200; i++) backtest.feed(stored(`DROP TABLE t${i}`, (i * 7919) % 200));
    const kept = backtest.report().examples.block.map(({ statements }) => statements);
    expect(kept).toEqual(Array.from({ length: 25 }, (_, i) => 199 - i));
  });
});
