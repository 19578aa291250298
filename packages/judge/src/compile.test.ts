import { readFileSync } from "node:fs";
import { type HashKey, lex, randomHashKey } from "@picket/native/lexer";
import { describe, expect, test } from "vitest";
import { casesOf, compiled } from "../test/support.ts";
import { RULE_TEXTS_MAX, VERDICTS_MAX } from "./budget.ts";
import { compileRuleSet, fingerprints } from "./compile.ts";
import { coreRules, coreRulesText } from "./core.ts";
import { formatRuleErrors } from "./rule-error.ts";
import { readRuleSet } from "./rule-source.ts";
import { defaultSession } from "./session.ts";

describe("compile.txt", () => {
  for (const { name, input, expected } of casesOf("compile.txt"))
    test(name, () => {
      const result = compileRuleSet(input);
      expect(result.ok ? "" : formatRuleErrors("rules.yaml", result.error)).toBe(expected);
    });
});

test("the rule set that docs/rule-sets.md shows compiles", () => {
  const page = readFileSync(new URL("../../../docs/rule-sets.md", import.meta.url), "utf8");
  const result = compileRuleSet(/```yaml\n(.*?)```/s.exec(page)?.[1] ?? "");
  expect(result.ok ? "" : formatRuleErrors("rule-sets.md", result.error)).toBe("");
});

describe("what a kernel can hold", () => {
  const source = readFileSync(new URL("../../bpf/src/slot.bpf.c", import.meta.url), "utf8");
  for (const [map, entries] of [
    ["verdicts", VERDICTS_MAX],
    ["rule_texts", RULE_TEXTS_MAX],
  ] as const)
    test(`the map ${map} has as many entries as the check believes`, () => {
      expect(source).toMatch(new RegExp(`max_entries, ${entries}\\);[^}]*} ${map} SEC`));
    });

  const shapes = (count: number, action: string) =>
    Array.from(
      { length: count },
      (_, i) => `    - { id: s${i}, action: ${action}, dialects: [pg], sql: SELECT a${i} }`,
    ).join("\n");
  const check = (spec: string) =>
    compileRuleSet(
      `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: shop }\nspec:\n  core: false\n  shapes:\n${spec}\n`,
    );
  test("more names than it holds are refused; what is allowed needs none", () => {
    expect(check(shapes(1_022, "block")).ok).toBe(true);
    expect(check(shapes(1_023, "block"))).toMatchObject({
      ok: false,
      error: [{ code: "budget", line: 5, message: expect.stringContaining("1023 shapes") }],
    });
    expect(check(shapes(1_023, "allow")).ok).toBe(true);
  });
});

describe("the core pack", () => {
  test("compiles, and every rule holds its own attack and benign statements", () => {
    const result = compileRuleSet(coreRulesText(), { core: null });
    expect(result.ok ? "" : formatRuleErrors("core.yaml", result.error)).toBe("");
    for (const { id, tests } of coreRules().ruleSet.spec.rules)
      expect([id, tests.attack.length > 0, tests.benign.length > 0]).toEqual([id, true, true]);
  });

  test("looks at places of literals and not at their kind, since a shape does not tell kinds apart", () => {
    const byKind = coreRules().ruleSet.spec.rules.filter(({ tokens }) =>
      [tokens].flat().some(pattern => /NUMBER|STRING/.test(pattern)),
    );
    // Why these may is written beside them.
    expect(byKind.map(({ id }) => id)).toEqual(["string-operators", "calculated-text", "joined-literals"]);
  });

  test("a core rule that does not hold is named as such, and not with a place in the author's text", () => {
    const core = readRuleSet(
      "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: core }\nspec:\n  rules:\n    - { id: odd, title: T, severity: low, action: alert, reason: R, tokens: a b, tests: { attack: [SELECT 1] } }\n",
      { coreIds: [] },
    );
    if (!core.ok) throw new Error("the case itself is wrong");
    const result = compileRuleSet(
      "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: shop }\nspec: {}\n",
      {
        core: core.value,
      },
    );
    expect(result).toMatchObject({
      ok: false,
      error: [{ code: "test", path: "spec.core", rule: "odd", line: 1, column: 1 }],
    });
  });

  test("comes first, own rules after it, shapes last; without it only what the author wrote", () => {
    const own = `  rules:
    - { id: own, title: T, severity: low, action: alert, reason: R, tokens: a b }
  shapes:
    - { id: ping, action: allow, dialects: [pg], sql: SELECT 1 }`;
    const core = coreRules().ruleSet.spec.rules.map(({ id }) => id);
    expect(compiled(own).entries.map(({ id }) => id)).toEqual([...core, "own", "ping"]);
    expect(compiled(`  core: false\n${own}`).entries.map(({ id }) => id)).toEqual(["own", "ping"]);
    for (const [index, entry] of compiled(own).entries.entries()) expect(entry.index).toBe(index);
  });

  test("an override changes the action of one core rule", () => {
    const rules = compiled("  overrides: { trailing-comment: alert }").rules;
    expect(rules.find(({ id }) => id === "trailing-comment")?.action).toBe("alert");
    expect(rules.find(({ id }) => id === "delay")?.action).toBe("block");
  });
});

describe("a shape named by an example", () => {
  const key: HashKey = randomHashKey();
  const rules = compiled(`  shapes:
    - { id: by-id, action: block, sql: SELECT name FROM users WHERE id = 7 }
    - { id: ping, action: allow, dialects: [pg], sql: SELECT 1 }
    - { id: noisy, action: alert, dialects: [mysql], sql: "SELECT a -- x" }`);

  test("is the fingerprint that a kernel with this key computes for any statement of the shape", () => {
    const entries = fingerprints(rules, key);
    const of = (sql: string, dialect: "mysql" | "pg") =>
      lex(sql, { dialect, session: defaultSession(dialect), key }).fingerprint;
    const at = (fingerprint: bigint) => {
      const entry = entries.find(one => one.fingerprint === fingerprint);
      return entry && [rules.entries[entry.rule]!.id, entry.verdict, entry.action];
    };
    expect(at(of("select  name from users where id = 'x'", "mysql"))).toEqual(["by-id", "attack", "block"]);
    expect(at(of("select name from users where id = 99", "pg"))).toEqual(["by-id", "attack", "block"]);
    expect(at(of("SELECT 'pong'", "pg"))).toEqual(["ping", "benign", "observe"]);
    expect(at(of("SELECT 'pong'", "mysql"))).toBeUndefined();
    expect(at(of("SELECT a -- another comment", "mysql"))).toEqual(["noisy", "attack", "alert"]);
    expect(entries).toHaveLength(4);
  });

  test("is another fingerprint under another key", () => {
    const [one] = fingerprints(rules, key);
    const [other] = fingerprints(rules, randomHashKey());
    expect(one!.fingerprint).not.toBe(other!.fingerprint);
    expect(one!.shapeSha256).toBe(other!.shapeSha256);
  });
});
