import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { defaultSession } from "./session.ts";
import { translateSqlPattern } from "./sql-pattern.ts";

const meets = (pattern: string, sql: string): string[] => {
  const set = compiled(`  core: false
  rules:
    - { id: it, title: T, severity: high, action: block, reason: R, pattern: ${JSON.stringify(pattern)} }`);
  return (["mysql", "pg"] as const).filter(
    dialect => set.tokenRules.match(sql, { dialect, session: defaultSession(dialect) }).indices.length > 0,
  );
};
const both = ["mysql", "pg"];

describe("a pattern that looks like SQL", () => {
  for (const [pattern, sql, where] of [
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 2 OR 1=1", both],
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 2 or 'x' = 'x'", both],
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 2 OR id = id", both],
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 2 OR t.id = t.id", both],
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 2 OR id = owner", []],
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 2 OR t.id = u.id", []],
    ["... OR $X = $X", "SELECT a FROM t WHERE b = 'or 1=1'", []],
    ["OR $X:NAME = $X", "SELECT a FROM t WHERE b = 2 OR 1=1", []],
    [
      "SELECT ... FROM $T WHERE ... UNION SELECT ...",
      "SELECT a, b FROM s.t WHERE c = 1 UNION SELECT 1, 2",
      both,
    ],
    [
      "SELECT ... FROM $T WHERE ... UNION SELECT ...",
      "SELECT a, b FROM t, u WHERE c = 1 UNION SELECT 1, 2",
      [],
    ],
    [
      "SELECT ... FROM $T WHERE ... UNION {ALL}? SELECT",
      "SELECT a FROM `t` WHERE c = 1 UNION ALL SELECT 1",
      ["mysql"],
    ],
    ["$F(...)", "SELECT count(id) FROM t", both],
    ["$F(...)", "SELECT id FROM t WHERE a IN (1)", []],
    ["{sleep | pg_sleep}(...)", "SELECT pg_sleep (5)", both],
    ["WHERE $C > $A AND $C < $B", "SELECT 1 FROM t WHERE id > 3 AND id < ?", both],
    ["WHERE $C > $A AND $C < $B", "SELECT 1 FROM t WHERE id > 3 AND other < 4", []],
    ["LIMIT $_ ...", "SELECT 1 FROM t LIMIT 5", both],
    ["$A || $B", "SELECT a || 'x' FROM t", both],
    ["... OR $X -- ", "SELECT 1 FROM t WHERE a = 1 OR b -- and so on", both],
    ["... OR $X /* */", "SELECT 1 FROM t WHERE a = 1 OR b -- and so on", both],
    ["WHERE id = $1", "SELECT 1 FROM t WHERE id = $1", ["pg"]],
    ["$X <> $X", "SELECT 1 FROM t WHERE a <> a", both],
    ["...3 UNION", "SELECT a UNION", both],
  ] as [string, string, string[]][])
    test(`${pattern}  ${where.length > 0 ? `meets as ${where.join(", ")}` : "does not meet"}  ${sql}`, () => {
      expect(meets(pattern, sql)).toEqual(where);
    });

  for (const [pattern, character, message] of [
    ["... OR 1 = 1", 7, /a shape holds no values/],
    ["... OR 'x' = $X", 7, /a shape holds no values/],
    ["$X = 5 ... OR $X", 5, /no values/],
    ["$X ... OR $X", 3, /stands between two uses of \$X/],
    ["BETWEEN $X:LITERAL AND $X", 8, /only where an operator/],
    ["{a | b", 0, /lacks its "}"/],
    ["a }", 2, /"{" is missing/],
    ["{a | }", 0, /an option .* is empty/],
    ["...", 0, /names no token/],
    ["", 0, /names no token/],
    ['"a"', 0, /quoted name/],
    ["$x", 0, /in capitals/],
    ["$X:NUMBR", 0, /no kind of token/],
    ["é", 0, /no mark of SQL/],
    ["{".repeat(20), 8, /nested deeper/],
  ] as [string, number, RegExp][])
    test(`${JSON.stringify(pattern)} is refused at ${character}`, () => {
      const translated = translateSqlPattern(pattern);
      if (translated.ok) throw new Error(`it became ${translated.value.map(({ tokens }) => tokens)}`);
      expect(translated.error.message).toMatch(message);
      expect(translated.error.character).toBe(character);
    });

  test("any text is translated or refused, never thrown, and what is translated can be read", () => {
    const words = [
      "$X",
      "$Y",
      "...",
      "...3",
      "OR",
      "=",
      "(",
      ")",
      "{",
      "}",
      "|",
      "?",
      "--",
      "$F",
      "'",
      "a.b",
      "1",
      ";",
      "$_",
      ":",
      "[",
    ];
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.constantFrom(...words), { maxLength: 30 }).map(all => all.join(" ")),
    );
    fc.assert(
      fc.property(texts, text => {
        const translated = translateSqlPattern(text);
        if (!translated.ok) {
          expect(translated.error.character).toBeLessThanOrEqual(text.length);
          return;
        }
        for (const { tokens, origin } of translated.value) {
          expect(tokens.length).toBeLessThan(200_000);
          expect(origin(tokens.length)).toBeLessThanOrEqual(text.length);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
