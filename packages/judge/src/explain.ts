/**
 * How a statement is judged, stage by stage, for whoever wrote the rule or was stopped by it. The judgement is the
 * judge's own; the stages before it are shown as the judge saw them.
 */
import { type DangerName, lex, SqlSession, tokenize } from "@picket/native/lexer";
import type { Action, Dialect, Severity } from "@picket/shared/vocabulary";
import type { CompiledRuleSet } from "./compile.ts";
import { type Judgement, judge, type Statement } from "./judge.ts";
import type { Applies, Field } from "./match.ts";
import { metRules, namedShape } from "./matching.ts";
import { UNKNOWN_SESSION } from "./session.ts";

export type Explanation = {
  dialect: Dialect;
  lexed: {
    /** What is believed of the session, fact by fact. */
    session: { fact: string; value: string }[];
    tokens: number;
    shape: string;
    shapeSha256: string | null;
    danger: { name: DangerName; means: string }[];
  };
  /** The shape that the rule set names, if it names this one. */
  named: { id: string; action: string; applies: Applies } | null;
  met: {
    id: string;
    title: string;
    reason: string;
    severity: Severity;
    action: Action;
    /** On this connection: what follows from `match:`. */
    applies: Applies;
    asks: readonly Field[];
    /** Bytes of the statement; null for a regular expression, which runs over another text. */
    span: readonly [start: number, end: number] | null;
    text: string | null;
    over: "tokens" | "statement" | "literals" | "comments";
  }[];
  /** What the profile says of it; null without one, or where an earlier stage decided. */
  drift: { kind: string; inserted: string[]; span: readonly [start: number, end: number] | null } | null;
  judgement: Judgement;
  /** In words, what decided. */
  because: string;
};

/** `judgement` where a profile or a parser had a say. */
export function explain(
  compiled: CompiledRuleSet,
  statement: Statement,
  judgement: Judgement = judge(compiled, statement),
): Explanation {
  const { sql, dialect, session = UNKNOWN_SESSION, context = {} } = statement;
  const bytes = Buffer.from(sql as Uint8Array);
  const { shape, shapeSha256, danger, neverKnown } = lex(bytes, { dialect, session });
  const { named, applies } = namedShape(compiled, neverKnown ? "" : shapeSha256, context);
  const ambiguous = danger.includes("ambiguous");
  const { met } = metRules(compiled, { sql: bytes, dialect, session }, { shape, ambiguous, context });
  const { drift } = judgement;
  return {
    dialect,
    lexed: {
      session: sessionFacts(dialect, session),
      tokens: tokenize(bytes, { dialect, session }).length,
      shape,
      shapeSha256: neverKnown ? null : shapeSha256,
      danger: danger.map(name => ({ name, means: meanings[name] })),
    },
    named: named && { id: named.id, action: named.action, applies },
    met: met.map(({ rule, action, span, applies }) => ({
      id: rule.id,
      title: rule.title,
      reason: rule.reason,
      severity: rule.severity,
      action,
      applies,
      asks: rule.match?.fields ?? [],
      span,
      text: span && bytes.toString("utf8", span[0], span[1]),
      over: rule.on ?? "tokens",
    })),
    drift: drift && {
      kind: drift.kind,
      inserted: drift.kind === "splice" ? drift.inserted : [],
      span: drift.kind === "splice" ? drift.span : null,
    },
    judgement,
    because: because(judgement, { neverKnown, met: met.length }),
  };
}

function because(
  { verdict, stage, rules, action, danger, severity }: Judgement,
  { neverKnown, met }: { neverKnown: boolean; met: number },
): string {
  if (stage === "shape")
    return verdict === "benign"
      ? `the rule set allows this shape (${rules[0]}), so no rule is asked`
      : `the rule set names this shape (${rules[0]}) and says ${action}`;
  if (stage === "drift") return `its drift from what was learned decides (${rules[0] ?? "drift"})`;
  if (stage === "ast") return `the parser decides (${rules[0] ?? "ast"})`;
  switch (verdict) {
    case "attack":
      return `${rules[0]} is met, of severity ${severity}; a severity of medium or more is an attack`;
    case "probe":
      if (rules.length > 0)
        return "only rules of severity low are met: signals that honest statements give, too";
      return danger.includes("unterminated")
        ? "it ends inside a quote or a comment: no server reads it whole"
        : "its judgement used up the work that one statement may cause";
    case "benign":
      return `${met > 0 ? "the rules that are met are about other connections" : "no rule is met"}${neverKnown ? "; the kernel cannot know its shape, so it is judged at each use" : ""}`;
  }
}

function sessionFacts(dialect: Dialect, session: number): Explanation["lexed"]["session"] {
  const fact = (known: number, bit: number, [unset, set]: readonly [string, string]) =>
    session & known ? (session & bit ? set : unset) : "not known: each possibility is judged";
  return [
    {
      fact: "a backslash in a text",
      value: fact(SqlSession.ESCAPES_KNOWN, SqlSession.NO_BACKSLASH, ["escapes", "is a character"]),
    },
    ...(dialect === "mysql"
      ? [
          {
            fact: "double quotes",
            value: fact(SqlSession.QUOTES_KNOWN, SqlSession.ANSI_QUOTES, ["hold a text", "hold a name"]),
          },
        ]
      : []),
    {
      fact: "character set",
      value: fact(SqlSession.CHARSET_KNOWN, SqlSession.CHARSET_UNSAFE, [
        "no character hides a quote",
        "a character may hide a quote or a backslash (GBK, Big5, SJIS)",
      ]),
    },
  ];
}

/** What each danger is, in an operator's words. */
const meanings: Record<DangerName, string> = {
  union: "another query is added",
  "second-statement": "a second statement follows",
  comment: "a comment stands in it",
  delay: "a function that makes the server wait",
  file: "the server's files are touched",
  catalogue: "the database's own catalogue is read",
  "literal-comparison": "two literals are compared",
  code: "a literal in it is code or session state: never known by its shape",
  ambiguous: "how it reads depends on something that is not known: never known by its shape",
  unterminated: "a quote or a comment is not closed: never known by its shape",
  "malformed-number": "a number runs into a letter: never known by its shape",
  "error-function": "a function that is used to show data in error messages",
  session: "session state is set back",
};
