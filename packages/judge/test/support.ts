/** What the tests of this package share. */
import { readFileSync } from "node:fs";
import { type CompiledRuleSet, compileRuleSet } from "../src/compile.ts";
import { formatRuleErrors } from "../src/rule-error.ts";

/** Cases of test/corpus/rules: plain text, the input above, what the author reads below. */

export function casesOf(file: string): { name: string; input: string; expected: string }[] {
  const text = readFileSync(new URL(`../../../test/corpus/rules/${file}`, import.meta.url), "utf8");
  return text
    .split(/^==== /m)
    .slice(1)
    .map(block => {
      const [head = "", expected = ""] = block.split(/^---- expect\n/m);
      const lineEnd = head.indexOf("\n");
      return { name: head.slice(0, lineEnd), input: head.slice(lineEnd + 1), expected: expected.trimEnd() };
    });
}

export function compiled(spec: string): CompiledRuleSet {
  const result = compileRuleSet(
    `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: shop }\nspec:${spec === "" ? " {}" : `\n${spec}`}\n`,
  );
  if (!result.ok) throw new Error(formatRuleErrors("rules.yaml", result.error));
  return result.value;
}
