import { describe, expect, test } from "vitest";
import { randomHashKey, type SqlDialect, sessionBits } from "../index.ts";
import { compileTokenRules, exhaustedRule, judgeBatch, noRule, TokenRules } from "./token-rules.ts";

function rulesOf(...patterns: string[]): TokenRules {
  const compiled = compileTokenRules(
    patterns.map((pattern, i) => ({ id: `rule-${i}`, patterns: [pattern] })),
  );
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
}
const session = sessionBits({ backslashEscapes: true, ansiQuotes: false, charsetUnsafe: false });

const table: [pattern: string, sql: string, matched: string | undefined, dialect?: SqlDialect][] = [
  ["union [all|distinct] select", "select 1 UNION/**/ALL -- x\n SELECT 2", "UNION/**/ALL -- x\n SELECT"],
  ["union [all|distinct] select", "select 1 union distinct select 2", "union distinct select"],
  ["union [all|distinct] select", "select 'union all select'", undefined],
  ["union select", "select `union` select", undefined],
  ["information_schema", "select `information_schema`.tables", "`information_schema`"],
  ["sleep '('", "select sleep (5)", "sleep ("],
  ["sleep '('", "select asleep (5)", undefined],
  ["LITERAL OPERATOR LITERAL", "a or 1 <=> 2", "1 <=> 2"],
  ["LITERAL OPERATOR LITERAL", "a or 1 like 2", "1 like 2"],
  ["LITERAL OPERATOR LITERAL", "a or 1, 2", undefined],
  ["NUMBER", "x 'a' 0x1F", "0x1F"],
  ["STRING", "x 1 'a'", "'a'"],
  ["$a = $a", "a or 'x' = 'x'", "'x' = 'x'"],
  ["$a = $a", "a or 1 = '1'", "1 = '1'"],
  ["$a = $a", "a or ID = id", "ID = id"],
  ["$a = $a", "a or id = 'id'", undefined],
  ["$a = $a", "a or 1 = 2", undefined],
  ["$a = !$a", "a or 1 = 2", "1 = 2"],
  ["$a = !$a", "a or 1 = 1", undefined],
  ["$a OPERATOR $a", "x 7 >= 7", "7 >= 7"],
  ["$a:LITERAL = $a", "b = b", undefined],
  ["$t . $c = $t . $c", "where a.id = b.id or a.id = a.id", "a.id = a.id"],
  ["[NAME .] $c = [NAME .] $c", "where a.id = id", "a.id = id"],
  ["NAME", "select from where x", "x"],
  ["NAME", "select null from `t`", "`t`"],
  ["WORD", "`a` 1 b", "b"],
  ["select ... from", "select a, b ,c from t", "select a, b ,c from"],
  ["select ... from", "select a; from t", undefined],
  ["select ... from ... where", "select a from b join c where d", "select a from b join c where"],
  ["select ...2 from", "select a , from", "select a , from"],
  ["select ...2 from", "select a , b from", undefined],
  ["select ...2 from", "select from", "select from"],
  ["or !NAME =", "or 1 =", "or 1 ="],
  ["or !NAME =", "or a =", undefined],
  ["or !(a|b) =", "or c =", "or c ="],
  ["or !(a|b) =", "or b =", undefined],
  ["LITERAL COMMENT END", "a = 'x' -- y", "'x' -- y"],
  ["LITERAL COMMENT END", "a = 'x' /*c*/ and b", undefined],
  ["LITERAL LINE_COMMENT END", "a = 'x' -- y", "'x' -- y"],
  ["LITERAL LINE_COMMENT END", "a = 'x' /* y */", undefined],
  ["a VERSION_COMMENT", "a /*!50000 x */", "a /*!50000 x */"],
  ["a VERSION_COMMENT", "a /* x */", undefined],
  ["LITERAL END", "a = 'x' -- y", "'x' -- y"],
  ["LITERAL END", "a = 'x' ; b", "'x' "],
  ["START drop", "select 1; drop table x", "drop"],
  ["START drop", "select drop", undefined],
  ["; START drop", "select 1; drop table x", "; drop"],
  ["select ... ; START drop", "select 1; drop table x", "select 1; drop"],
  ["select ... ; START drop", "select 1; x; drop table x", undefined],
  ["; ... drop", "select 1; x drop", "; x drop"],
  ["; ANY", "select 1;", undefined],
  ["(a|b c) d", "b c d", "b c d"],
  ["(a|b c) d", "b d", undefined],
  ["'||' LITERAL", "a || 'x'", "|| 'x'"],
  ["PLACEHOLDER", "a = ?", "?"],
  ["union select", "1 /*!50000union*/ select", "union*/ select"],
  ["union select", "1 /*!union*/ /*!select*/", "union*/ /*!select"],
  ["union select", "1 /*! '*/ x' union select", "union select"],
  ["union select", "1 /*union*/ select", undefined],
  ["\"pg_sleep\" '('", "x", undefined],
  ["pg_sleep '('", 'select "pg_sleep"(5)', '"pg_sleep"(', "pg"],
  ["select", "$$ select $$", undefined, "pg"],
];

describe("a pattern matches tokens, not text", () => {
  for (const [pattern, sql, matched, dialect = "mysql"] of table.filter(
    ([pattern]) => !pattern.includes('"'),
  ))
    test(`${pattern}   ${matched === undefined ? "not in" : "in"}   ${sql}`, () => {
      const { rules, spans } = rulesOf(pattern).match(sql, { dialect, session });
      expect(rules).toEqual(matched === undefined ? [] : ["rule-0"]);
      if (matched !== undefined) expect(sql.slice(...spans[0]!)).toBe(matched);
    });
});

describe("a wrong pattern says where and what was meant", () => {
  for (const [pattern, column, message] of [
    ["", 1, /empty/],
    ["select 1", 8, /NUMBER or LITERAL/],
    ["select )", 8, /nothing is open/],
    ["(a|b", 1, /lacks its "\)"/],
    ["(a]", 3, /"\)" was meant/],
    ["(a|)", 4, /missing/],
    ["[a]", 1, /may be empty/],
    ["a ...", 1, /cannot end with a gap/],
    ["a ...99 b", 3, /1 to 32/],
    ["a != b", 3, /'!='/],
    ["!(a b) c", 2, /single tokens/],
    ["!COMMENT", 2, /no tokens/],
    ["!$a", 2, /before any/],
    ["$a ... $a", 1, /gap cannot stand/],
    ["$a:FOO", 1, /no metaclass/],
    ["$a = ANY ANY ANY ANY ANY ANY ANY $a", 34, /7 tokens apart/],
    ["a 'b'", 3, /only marks/],
    ['a "b"', 3, /NAME/],
    ["a ? b", 3, /PLACEHOLDER/],
    ["'x", 1, /not closed/],
    ["größe", 3, /ASCII/],
    ["((((((((((((((((((a))))))))))))))))))", 17, /nested deeper/],
  ] as const)
    test(`${JSON.stringify(pattern)} at ${column}`, () => {
      const compiled = compileTokenRules([
        { id: "good", patterns: ["a"] },
        { id: "bad", patterns: ["a", pattern] },
      ]);
      expect(compiled).toMatchObject({
        ok: false,
        error: [{ rule: "bad", ruleIndex: 1, pattern: 1, column }],
      });
      if (!compiled.ok) expect(compiled.error[0]!.message).toMatch(message);
    });
});

test("a rule of another dialect is not met", () => {
  const compiled = compileTokenRules([
    { id: "my", patterns: ["sleep"], dialects: ["mysql"] },
    { id: "pg", patterns: ["sleep"], dialects: ["pg"] },
  ]);
  if (!compiled.ok) throw new Error("unreachable");
  expect(compiled.value.match("sleep", { dialect: "mysql" }).rules).toEqual(["my"]);
  expect(compiled.value.match("sleep", { dialect: "pg" }).rules).toEqual(["pg"]);
});

describe("what is not known of the session is read every way", () => {
  const rules = rulesOf("union select");
  for (const [dialect, sql] of [
    ["mysql", "select 'a\\' union select 1 -- '"],
    ["mysql", "select 'a\\'' , ' union select 1"],
    ["mysql", 'select "a\\" union select 1 -- "'],
    ["mysql", "select '\xbf\\' union select 1 -- '"],
    ["pg", "select 'a\\' union select 1 -- '"],
  ] as const)
    test(`${dialect}: ${JSON.stringify(sql)}`, () => {
      expect(rules.match(Buffer.from(sql, "latin1"), { dialect }).rules).toEqual(["rule-0"]);
    });
  test("and what is known is read one way", () => {
    expect(rules.match("select 'a\\' union select 1 -- '", { dialect: "mysql", session }).rules).toEqual([]);
  });
});

describe("work stays bounded", () => {
  const rules = rulesOf(
    "select ... from ... where",
    "LITERAL OPERATOR LITERAL",
    "ANY ...32 '(' drop",
    "$a:LITERAL = $a",
  );
  for (const [what, sql] of [
    ["100,000 nested parentheses", `select ${"(".repeat(100_000)}1${")".repeat(100_000)} from t where 1`],
    ["16 MB in one literal", `select '${"a".repeat(16_000_000)}' from t where 1`],
    ["2,000,000 operators", `select ${"1=".repeat(1_000_000)} 1 from t where 1`],
  ] as const)
    test(`${what} are judged to the end, or said to be exhausting`, () => {
      const match = rules.match(sql, { dialect: "mysql", session });
      expect(match.exhausted || match.rules.includes("rule-0")).toBe(true);
    });
  test("a statement that uses up its steps is said to be exhausting", () => {
    expect(
      rules.match("select a from b where 1 = 1", { dialect: "mysql", session, stepsMax: 5 }).exhausted,
    ).toBe(true);
    const sql = Buffer.from("select a from b");
    const { firstRule } = judgeBatch(sql, Uint32Array.of(0, sql.length), {
      dialect: "mysql",
      key: randomHashKey(),
      rules,
      stepsMax: 2,
    });
    expect([...firstRule]).toEqual([exhaustedRule]);
  });
});

test("a batch gives each statement its fingerprint, danger and first rule", () => {
  const statements = ["select 1", "select 1 union select 2", "select 2", "select 'x", ""];
  const bytes = statements.map(sql => Buffer.from(sql));
  const offsets = Uint32Array.from([0, ...bytes.map((_, i) => Buffer.concat(bytes.slice(0, i + 1)).length)]);
  const rules = rulesOf("nothing", "union");
  const judged = judgeBatch(Buffer.concat(bytes), offsets, {
    dialect: "mysql",
    session,
    key: randomHashKey(),
    rules,
  });
  expect([...judged.firstRule]).toEqual([noRule, 1, noRule, noRule, noRule]);
  expect(judged.fingerprints[0]).toBe(judged.fingerprints[2]);
  expect(judged.fingerprints[3]).toBe(0n);
  expect(judged.danger[1]! & 1).toBe(1);
  expect(() =>
    judgeBatch(Buffer.from("x"), Uint32Array.of(0, 2), { dialect: "mysql", key: randomHashKey() }),
  ).toThrow(/offsets\[1\]/);
});

test("a broken table is refused", () => {
  const { table } = rulesOf("select ... from", "$a = $a");
  let refused = 0;
  for (let i = 0; i < table.length; i++) {
    const broken = table.slice();
    broken[i] = 0xffff_fffe;
    try {
      new TokenRules(["rule-0", "rule-1"], broken).match("select a = a from t", { dialect: "mysql" });
    } catch {
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(20);
  expect(() => new TokenRules([], table.slice(0, 30))).toThrow(/broken/);
});
