/**
 * From the text that an author wrote to a valid rule set, or to every error in it at once, each with line,
 * column, rule and what was probably meant. Never throws and needs no native code: the control plane checks
 * with it too. Patterns and example statements are checked by compiling (compile.ts).
 */
import { ok, type Result } from "@picket/shared/result";
import type { RuleSet } from "@picket/shared/rule-set";
import { coreRuleIds } from "./core.ts";
import type { RuleError } from "./rule-error.ts";
import { readRuleSet } from "./rule-source.ts";

export { formatRuleErrors, type RuleError, type RuleErrorCode } from "./rule-error.ts";

export function checkRuleSet(
  text: string,
  { coreIds = coreRuleIds() }: { coreIds?: readonly string[] } = {},
): Result<RuleSet, RuleError[]> {
  const read = readRuleSet(text, { coreIds });
  return read.ok ? ok(read.value.ruleSet) : read;
}
