/**
 * The rule set's schema for editors (JSON Schema), generated from the one that checks. What only the compiler knows
 * (patterns, shapes, tests) stays with `picket rules check`.
 */
import { RULE_SOURCES, Rule, RuleSet } from "@picket/shared/rule-set";
import { z } from "zod";

export function ruleSetJsonSchema(): object {
  return {
    ...z.toJSONSchema(RuleSet, {
      io: "input",
      reused: "ref",
      override: ({ zodSchema, jsonSchema }) => {
        if (zodSchema === Rule) jsonSchema.oneOf = RULE_SOURCES.map(source => ({ required: [source] }));
      },
    }),
    title: "Picket rule set",
  };
}
