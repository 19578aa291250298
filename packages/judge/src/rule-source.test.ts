import { describe, expect, test } from "vitest";
import { casesOf } from "../test/support.ts";
import { formatRuleErrors } from "./rule-error.ts";
import { readRuleSet } from "./rule-source.ts";

const coreIds = ["union-select", "always-true"];

for (const file of ["structure.txt", "ids.txt", "yaml.txt"])
  describe(file, () => {
    for (const { name, input, expected } of casesOf(file))
      test(name, () => {
        const read = readRuleSet(input, { coreIds });
        expect(read.ok ? "" : formatRuleErrors("rules.yaml", read.error)).toBe(expected);
      });
  });

describe("text that is meant to hurt gives an error, never an exception or a stall", () => {
  for (const [name, text] of Object.entries({
    "a million brackets": "[".repeat(1_000_000),
    "a million dashes": "- ".repeat(1_000_000),
    "deep flow maps": "{a: ".repeat(250_000),
    "two hundred thousand keys": Array.from({ length: 200_000 }, (_, i) => `k${i}: 1`).join("\n"),
    "more than two megabytes": "#".repeat(2_097_153),
    "fifty thousand syntax errors": ":\n".repeat(50_000),
    "control characters": "a: \0\x1b[31m\uFFFE",
    "a lone surrogate": "a: \uD800",
  }))
    test(name, () => {
      const read = readRuleSet(text, { coreIds });
      expect(read.ok).toBe(false);
      expect(!read.ok && read.error.length).toBeLessThanOrEqual(100);
    });
});

describe("a character inside a text is found in the file", () => {
  const head = "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: shop }\nspec:\n  rules:\n";
  const tail = "\n      title: T\n      severity: low\n      action: alert\n      reason: R\n";
  for (const [name, tokens] of Object.entries({
    plain: "UNION @",
    "single quotes with a doubled one": "'UNION ''x'' @'",
    "double quotes with escapes": '"UNION \\"x\\" \\u0041 @"',
    "a literal block": "|\n        UNION\n          SELECT @",
    "a folded block": ">-\n        UNION\n        SELECT @",
    "a plain text over two lines": "UNION\n        SELECT @",
    "a list": "\n        - UNION SELECT\n        - UNION @",
  }))
    test(name, () => {
      const text = `${head}    - id: one\n      tokens: ${tokens}${tail}`;
      const read = readRuleSet(text, { coreIds });
      if (!read.ok) throw new Error(formatRuleErrors("rules.yaml", read.error));
      const value = read.value.ruleSet.spec.rules[0]!.tokens;
      const path = ["spec", "rules", 0, "tokens", ...(Array.isArray(value) ? [1] : [])];
      const pattern = Array.isArray(value) ? value[1]! : value;
      const { line, column } = read.value.error({
        code: "pattern",
        path,
        message: "here",
        character: pattern.indexOf("@"),
      });
      const lines = text.split("\n");
      expect(lines[line - 1]?.[column - 1]).toBe("@");
    });
});
