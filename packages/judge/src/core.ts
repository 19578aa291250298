/**
 * The core rule pack that ships with Picket (rules/core.yaml): an ordinary rule set, merged into each rule set
 * that does not say `core: false`. Its text belongs to this package's version: a change of it is a new version
 * of the package, and a rule set that wants to be independent of it switches it off.
 */
import { readFileSync } from "node:fs";
import { formatRuleErrors } from "./rule-error.ts";
import { type RuleSource, readRuleSet } from "./rule-source.ts";

let cached: RuleSource | undefined;

export function coreRulesText(): string {
  return readFileSync(new URL("../rules/core.yaml", import.meta.url), "utf8");
}

export function coreRules(): RuleSource {
  if (cached) return cached;
  const read = readRuleSet(coreRulesText(), { coreIds: [] });
  // Our own file: a test compiles it, so this is never an author's mistake.
  if (!read.ok) throw new Error(`the core rules are broken:\n${formatRuleErrors("core.yaml", read.error)}`);
  cached = read.value;
  return cached;
}

export function coreRuleIds(): string[] {
  return coreRules().ruleSet.spec.rules.map(({ id }) => id);
}
