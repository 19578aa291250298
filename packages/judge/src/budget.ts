/**
 * What a node's kernel holds, so that a rule set which does not fit is refused where it is written. The numbers are
 * those of packages/bpf/src/slot.bpf.c; a test compares them. One slot judges by all rule sets of a node together:
 * each may use half of what there is.
 */
import type { RuleSet } from "@picket/shared/rule-set";
import type { CompiledShape } from "./compile.ts";
import type { RuleErrorCode } from "./rule-error.ts";
import type { Path } from "./yaml-source.ts";

/** Entries of the map `verdicts`: shapes that rule sets name, and all that the node learns beside them. */
export const VERDICTS_MAX = 65_536;
/** Entries of the map `rule_texts`: what a blocked client reads names the rule. The last is for all that are beyond. */
export const RULE_TEXTS_MAX = 1_024;

type Finding = { code: RuleErrorCode; path: Path; message: string; hint: string };

export function overBudget({
  ruleSet,
  rules,
  shapes,
}: {
  ruleSet: RuleSet;
  rules: number;
  shapes: readonly CompiledShape[];
}): Finding[] {
  const findings: Finding[] = [];
  // What is allowed is never named to anybody. One name more is the control socket's.
  const named = ruleSet.spec.shapes.filter(({ action }) => action !== "allow").length;
  if (rules + named > RULE_TEXTS_MAX - 2)
    findings.push({
      code: "budget",
      path: ["spec"],
      message: `${rules} rules and ${named} shapes that are not allowed are more names than the ${RULE_TEXTS_MAX - 2} that the kernel holds`,
      hint: "give the shapes that mean the same a rule over tokens, or part the rule set by workload",
    });
  const entries = shapes.length;
  if (entries > VERDICTS_MAX / 2)
    findings.push({
      code: "budget",
      path: ["spec", "shapes"],
      message: `${entries} shapes are more than half of the ${VERDICTS_MAX} verdicts that the kernel holds`,
      hint: "the other half is for what the node learns; name fewer shapes",
    });
  return findings;
}
