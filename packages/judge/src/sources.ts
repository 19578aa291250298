/** What a rule looks for, as patterns over tokens: its own, or those that its SQL-like patterns come to. */
import type { Rule } from "@picket/shared/rule-set";
import type { RuleErrorCode } from "./rule-error.ts";
import { translateSqlPattern } from "./sql-pattern.ts";
import type { Path } from "./yaml-source.ts";

export type SourcePattern = {
  tokens: string;
  /** Within the rule, where its text stands. */
  path: Path;
  /** From a character of `tokens` to one of that text. */
  origin(character: number): number;
};

export type SourceProblem = {
  code: RuleErrorCode;
  path: Path;
  character: number;
  message: string;
  hint: string | null;
};

export function patternsOf({ tokens, pattern }: Pick<Rule, "tokens" | "pattern">): {
  patterns: SourcePattern[];
  problems: SourceProblem[];
} {
  const problems: SourceProblem[] = [];
  const each = <T>(
    key: string,
    given: string | string[] | undefined,
    make: (text: string, path: Path) => T[],
  ) => [given ?? []].flat().flatMap((text, i) => make(text, Array.isArray(given) ? [key, i] : [key]));
  const patterns = [
    ...each("tokens", tokens, (text, path) => [
      { tokens: text, path, origin: (character: number) => character },
    ]),
    ...each("pattern", pattern, (text, path): SourcePattern[] => {
      const translated = translateSqlPattern(text);
      if (translated.ok) return translated.value.map(one => ({ path, ...one }));
      problems.push({ code: "pattern", path, ...translated.error });
      return [];
    }),
  ];
  return { patterns, problems };
}
