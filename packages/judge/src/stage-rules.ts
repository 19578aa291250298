/** What the ids mean that no rule set names: those of drift and of the parser. */
import type { AstRule } from "./ast/signals.ts";

export type StageRule = "drift-splice" | "drift-new" | "ast-unparsed" | "ast-too-large" | AstRule;

export const stageRules: Record<StageRule, string> = {
  "drift-splice": "Tokens stand in the place of one value of a statement that the workload is known to send.",
  "drift-new": "The profile is locked, and this statement was never learned.",
  "ast-unparsed": "The parser does not read it, or not in time; the server may.",
  "ast-too-large": "Too long or too deep for a parser.",
  "ast-constant-condition": "A condition is true or false whatever the rows are.",
  "ast-constant-comparison": "A value is compared with the outcome of a comparison.",
  "ast-same-column": "A column is compared with itself.",
  "ast-constant-decision": "A CASE or an IF decides by what is the same for each row.",
  "ast-condition-in-list": "A condition over constants stands in ORDER BY, GROUP BY or LIMIT.",
  "ast-condition-as-value": "A value, a row's or a function's, is a condition over constants.",
  "ast-odd-subquery": "A value is a subquery that reads nothing.",
  "ast-list-subquery": "ORDER BY, GROUP BY or LIMIT holds a subquery that is the same for each row.",
  "ast-foreign-question": "A condition asks another table one question for all rows.",
  "ast-foreign-value":
    "A value is fetched from another table, and is nothing like what it is compared with, or any row's.",
  "ast-calculated-key": "A key is compared with what is calculated from constants.",
  "ast-union-width": "The halves of a UNION have unlike numbers of columns.",
  "ast-union-constants": "A UNION adds nothing but constants to a table's rows.",
  "ast-union-strangers":
    "A UNION adds all rows of another table, and no column of it has a name of the first's.",
  "ast-catalogue": "A subquery or a UNION reads the catalogue, the statement does not.",
  "ast-server-function":
    "A function that tells about the server, waits, or opens files stands in a condition or value.",
};

export const stageRuleMeaning = (id: string): string | undefined => stageRules[id as StageRule];
