import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { compileRuleSet } from "./compile.ts";
import { judge } from "./judge.ts";
import { compileRegexes, REGEX_CHARACTERS_MAX } from "./regex.ts";
import { defaultSession, UNKNOWN_SESSION } from "./session.ts";

const rules = (...lines: string[]) =>
  compiled(`  core: false
  rules:
${lines.map((line, i) => `    - { id: r${i}, title: T, severity: high, reason: R, ${line} }`).join("\n")}`);
const met = (set: ReturnType<typeof rules>, sql: string, session = defaultSession("mysql")) =>
  judge(set, { sql, dialect: "mysql", session });

describe("a rule by regular expression", () => {
  for (const [rule, sql, verdict] of [
    // A shape is in lower case, with one blank between tokens, whatever the statement was.
    ["action: block, regex: 'from (\\w+_)?audit\\b'", "SELECT *  FROM\n\tshop_AUDIT", "attack"],
    ["action: block, regex: 'from (\\w+_)?audit\\b'", "SELECT 'from audit'", "benign"],
    ["action: block, regex: ['x{3}', 'y{3}']", "SELECT yyy", "attack"],
    ["action: alert, on: literals, regex: '(?i)union\\s+select'", "SELECT 'union  SELECT' FROM t", "attack"],
    ["action: alert, on: literals, regex: '(?i)union\\s+select'", "SELECT a UNION SELECT b", "benign"],
    ["action: alert, on: comments, regex: sqlmap", "SELECT 1 /* by sqlmap */", "attack"],
    ["action: alert, on: comments, regex: sqlmap", "SELECT 'sqlmap'", "benign"],
    ["action: block, dialects: [pg], regex: select", "SELECT 1", "benign"],
  ] as const)
    test(`{ ${rule} }: ${sql} is ${verdict}`, () => expect(met(rules(rule), sql).verdict).toBe(verdict));

  test("is met where one of the possible readings of a statement meets it", () => {
    const sql = "SELECT 'a\\' OR sleep(5) -- '";
    const set = rules("action: block, regex: 'sleep'");
    expect(met(set, sql).verdict).toBe("benign");
    expect(met(set, sql, UNKNOWN_SESSION).verdict).toBe("attack");
  });

  test("over values is not remembered by the shape, which holds none", () => {
    const set = rules("action: alert, on: literals, regex: evil");
    expect(met(set, "SELECT 'evil'")).toMatchObject({ verdict: "attack", holdsForShape: false });
    expect(met(set, "SELECT 'good'")).toMatchObject({ verdict: "benign", holdsForShape: true });
  });

  test("beside token rules: all that are met are named", () => {
    const set = rules("action: alert, tokens: sleep '('", "action: block, regex: 'sleep \\('");
    expect(met(set, "SELECT sleep(1)")).toMatchObject({ action: "block", rules: ["r1", "r0"] });
  });
});

describe("what is bounded", () => {
  for (const expression of [
    "(a+)+$",
    "(a|a)*b",
    "(.*){1,200}z",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "[ab]*a[ab]{200}$",
  ])
    test(`${expression} over a megabyte of its worst text ends`, () => {
      const { regexes, problems } = compileRegexes([
        { ruleIndex: 0, on: "statement", expressions: [expression] },
      ]);
      expect(problems).toEqual([]);
      const { whole } = regexes.match("statement", ["a".repeat(REGEX_CHARACTERS_MAX)]);
      expect(whole).toBe(true);
    });

  test("a text beyond the bound is not looked at to its end, which makes a probe", () => {
    const { regexes } = compileRegexes([{ ruleIndex: 7, on: "literals", expressions: ["b"] }]);
    const long = "a".repeat(REGEX_CHARACTERS_MAX);
    expect(regexes.match("literals", [long, "b"])).toEqual({ rules: [], whole: false });
    expect(regexes.match("literals", ["b", long])).toEqual({ rules: [7], whole: false });
    expect(regexes.match("comments", ["b"])).toEqual({ rules: [], whole: true });
    const set = rules("action: alert, on: literals, regex: evil");
    expect(met(set, `SELECT '${long}', 'evil'`).verdict).toBe("probe");
  });

  test("expressions that grow beyond a set's instructions are refused together", () => {
    const expressions = Array.from({ length: 80 }, (_, i) => `${i}[a-z]{1000}`);
    const { problems } = compileRegexes([{ ruleIndex: 0, on: "statement", expressions }]);
    expect(problems).toMatchObject([{ message: expect.stringMatching(/instructions/) }]);
  });
});

test("any text is an expression or refused with a place in it, never thrown", () => {
  const parts = [
    "(",
    ")",
    "[",
    "]",
    "a",
    "*",
    "+",
    "?",
    "{2}",
    "{1000}",
    "\\\\",
    "\\d",
    "|",
    "(?i)",
    "(?:",
    "^",
    "$",
    ".",
    "(?=",
    "\\1",
    "\\p{L}",
  ];
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fc.constantFrom(...parts), { maxLength: 25 }).map(all => all.join("")),
  );
  fc.assert(
    fc.property(texts, text => {
      const { regexes, problems } = compileRegexes([{ ruleIndex: 0, on: "statement", expressions: [text] }]);
      for (const { character } of problems) expect(character).toBeLessThanOrEqual(text.length);
      if (problems.length === 0) regexes.match("statement", ["select ? from t where a = ?"]);
    }),
    { numRuns: 3_000 },
  );
});

test("any text is a rule set or a list of errors, never thrown", () => {
  const lines = [
    "apiVersion: picket/v1",
    "kind: RuleSet",
    "metadata: { name: a }",
    "spec:",
    "  core: false",
    "  rules:",
    "    - id: a",
    "      title: T",
    "      severity: low",
    "      action: block",
    "      reason: R",
    "      pattern: $X = $X",
    "      regex: (",
    "      on: literals",
    "      match: { user: '*' }",
    "      tests: { attack: [SELECT 1] }",
    "  hold: { mode: on }",
    "  profiles: [{ match: {} }]",
    "  drift: 1",
    "- x",
  ];
  fc.assert(
    fc.property(fc.shuffledSubarray(lines), fc.shuffledSubarray(lines), (some, more) => {
      const result = compileRuleSet([...some, ...more].join("\n"), { core: null });
      if (!result.ok) expect(result.error.length).toBeGreaterThan(0);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.subarray(lines), some => {
      compileRuleSet(some.join("\n"), { core: null });
    }),
    { numRuns: 500 },
  );
});
