/**
 * The statements that a rule's author wrote beside it, run: `attack` ones must match in one of the rule's dialects at
 * least, `benign` ones in none. They run when a rule set is compiled: at `picket rules check`, before it is signed,
 * and again on each node before it is switched to.
 */
import { lex } from "@picket/native/lexer";
import type { Rule, TestStatement } from "@picket/shared/rule-set";
import type { Dialect } from "@picket/shared/vocabulary";
import type { CompiledRuleSet } from "./compile.ts";
import type { Context } from "./match.ts";
import { metRules } from "./matching.ts";
import { defaultSession, parseSession } from "./session.ts";
import type { Path } from "./yaml-source.ts";

type Finding = { code: "test"; path: Path; message: string; hint: string };

export function failedTests(
  compiled: Pick<CompiledRuleSet, "rules" | "tokenRules" | "regexes">,
  index: number,
  { tests: { attack, benign } }: Pick<Rule, "tests">,
): Finding[] {
  return [
    ...attack.flatMap((test, i): Finding[] => {
      const path = ["tests", "attack", i];
      const met = dialectsThatMeet(compiled, index, test);
      if ("message" in met) return [{ code: "test", path: [...path, "session"], ...met }];
      return met.dialects.length > 0
        ? []
        : [
            {
              code: "test",
              path,
              message: "the rule does not match its own attack",
              hint: "`picket rules explain` shows how the statement is read",
            },
          ];
    }),
    ...benign.flatMap((test, i): Finding[] => {
      const path = ["tests", "benign", i];
      const met = dialectsThatMeet(compiled, index, test);
      if ("message" in met) return [{ code: "test", path: [...path, "session"], ...met }];
      return met.dialects.length === 0
        ? []
        : [
            {
              code: "test",
              path,
              message: `the rule matches its own benign statement (${met.dialects.join(", ")})`,
              hint: "make the pattern narrower",
            },
          ];
    }),
  ];
}

function dialectsThatMeet(
  compiled: Pick<CompiledRuleSet, "rules" | "tokenRules" | "regexes">,
  index: number,
  test: TestStatement,
): { dialects: Dialect[] } | { message: string; hint: string } {
  const { sql, session: text, ...context } = typeof test === "string" ? { sql: test } : test;
  const said = Object.keys(context).length > 0;
  const dialects: Dialect[] = [];
  for (const dialect of compiled.rules[index]!.dialects) {
    const session =
      text === undefined
        ? { ok: true as const, value: defaultSession(dialect) }
        : parseSession(dialect, text);
    if (!session.ok) return { message: session.error, hint: "leave it out for what a server starts with" };
    const { shape, danger } = lex(sql, { dialect, session: session.value });
    const { met } = metRules(
      compiled,
      { sql, dialect, session: session.value },
      { shape, ambiguous: danger.includes("ambiguous"), context: said ? (context as Context) : {} },
    );
    // Without a word on the connection the statement is one that the rule is about.
    if (met.some(({ rule, applies }) => rule.index === index && (!said || applies === "yes")))
      dialects.push(dialect);
  }
  return { dialects };
}
