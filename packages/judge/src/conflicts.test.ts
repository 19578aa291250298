import { describe, expect, test } from "vitest";
import { type CompiledRuleSet, compileRuleSet } from "./compile.ts";
import { conflictsOf } from "./conflicts.ts";

const set = (name: string, precedence: number, spec: string): CompiledRuleSet => {
  const compiled = compileRuleSet(
    `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: ${name}, precedence: ${precedence} }\nspec: ${spec}\n`,
  );
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
};
const UNION = "SELECT a FROM t UNION SELECT b, NULL FROM information_schema.tables";
const shape = (id: string, action: string, sql = UNION) =>
  `{ core: false, shapes: [{ id: ${id}, action: ${action}, dialects: [mysql], sql: "${sql}" }] }`;
const rule = (id: string) =>
  `{ core: false, rules: [{ id: ${id}, title: t, severity: high, action: block, reason: r, tokens: "drop table" }] }`;
const CORE = "{ core: true }";

describe("what rule sets on one node disagree about is said, with what then holds", () => {
  test.each<[string, CompiledRuleSet[], { about: RegExp; outcome: RegExp; decided: boolean }[]]>([
    [
      "the higher one allows a shape that the lower one blocks",
      [set("team", 10, shape("ours", "allow")), set("org", 0, shape("theirs", "block"))],
      [{ about: /ours would allow, theirs would block/, outcome: /team allows it/, decided: true }],
    ],
    [
      "the lower one allows a shape that the higher one blocks",
      [set("team", 0, shape("ours", "allow")), set("org", 10, shape("theirs", "block"))],
      [{ about: /would block, ours would allow/, outcome: /stricter stands: block/, decided: true }],
    ],
    [
      "nobody declared who decides",
      [set("team", 5, shape("ours", "allow")), set("org", 5, shape("theirs", "alert"))],
      [{ about: /would/, outcome: /stricter stands: alert/, decided: false }],
    ],
    [
      "a shape that the higher one allows and a core rule of the lower one meets",
      [set("team", 10, shape("ours", "allow")), set("core", 0, CORE)],
      [{ about: /ours allows what .* of core would block/, outcome: /team allows it/, decided: true }],
    ],
    [
      "a shape that the lower one allows and a core rule of the higher one meets",
      [set("team", 0, shape("ours", "allow")), set("core", 10, CORE)],
      [{ about: /ours allows what/, outcome: /it is not allowed: block/, decided: true }],
    ],
    [
      "a core rule with two actions",
      [set("team", 10, "{ overrides: { delay: alert } }"), set("core", 0, CORE)],
      [{ about: /core rule delay: alert in team, block in core/, outcome: /stands: block/, decided: false }],
    ],
    [
      "one id for two rules",
      [set("team", 1, rule("no-drop")), set("org", 0, rule("no-drop"))],
      [{ about: /both have a rule no-drop/, outcome: /rename one/, decided: false }],
    ],
    [
      "two words on drift",
      [
        set("team", 1, "{ core: false, drift: { mode: enforce } }"),
        set("org", 0, "{ core: false, drift: { mode: alert } }"),
      ],
      [{ about: /\(drift\)/, outcome: /team decides/, decided: true }],
    ],
    ["nothing", [set("team", 1, rule("no-drop")), set("core", 0, CORE)], []],
    [
      "two versions of one",
      [set("team", 0, shape("ours", "allow")), set("team", 0, shape("ours", "block"))],
      [],
    ],
  ])("%s", (_, sets, wanted) => {
    const found = conflictsOf(sets);
    expect(found.map(({ decided }) => decided)).toEqual(wanted.map(({ decided }) => decided));
    for (const [i, { about, outcome }] of wanted.entries()) {
      expect(found[i]!.about).toMatch(about);
      expect(found[i]!.outcome).toMatch(outcome);
    }
  });
});
