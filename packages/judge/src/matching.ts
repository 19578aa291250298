/**
 * What a rule set says of one statement: the shape that names it, else every rule that is met, over its tokens and by
 * regular expression. Where a rule is about some connections only, what is known of this one decides; and what
 * turned on the connection, or on a value, is not to be remembered by the statement's shape.
 */
import { lex, SqlSession, tokenize } from "@picket/native/lexer";
import type { Action, Dialect } from "@picket/shared/vocabulary";
import type { CompiledRule, CompiledRuleSet, CompiledShape } from "./compile.ts";
import type { Applies, CompiledMatch, Context } from "./match.ts";
import { aboutComments, hasOnlyNotes } from "./notes.ts";
import type { RegexSubject } from "./regex.ts";
import type { Session } from "./session.ts";

export type Lexing = { sql: Uint8Array | string; dialect: Dialect; session: Session };

export type Met = {
  rule: CompiledRule;
  /** The rule's, or at most `alert` where it is not known whether the rule is about this connection. */
  action: Action;
  /** Bytes of the first match; null for a regular expression, which runs over a text of its own. */
  span: readonly [start: number, end: number] | null;
  /** Every rule that is met is listed; those with "no" say nothing here. */
  applies: Applies;
};

export type Matching = {
  met: Met[];
  /** The statement used up the work that one may cause. */
  exhausted: boolean;
  /** False: another statement of this shape may have to be judged otherwise. */
  holdsForShape: boolean;
};

const contextual = (match: CompiledMatch | null): boolean => match !== null && match.fields.length > 0;

/** While it is not known whether somebody is meant, nobody's statement is blocked for it. */
export const atMostAlert = (action: Action): Action => (action === "block" ? "alert" : action);

export function metRules(
  compiled: Pick<CompiledRuleSet, "rules" | "tokenRules" | "regexes">,
  statement: Lexing,
  { shape, ambiguous, context }: { shape: string; ambiguous: boolean; context: Context },
): Matching {
  const { indices, spans, exhausted } = compiled.tokenRules.match(statement.sql, statement);
  if (indices.length === 0 && compiled.regexes.subjects.length === 0)
    return { met: [], exhausted, holdsForShape: true };
  const found = new Map<number, Met["span"]>(indices.map((index, i) => [index, spans[i]!]));
  let whole = true;
  for (const on of compiled.regexes.subjects) {
    const matched = compiled.regexes.match(on, textsOf(on, statement, { shape, ambiguous }));
    whole &&= matched.whole;
    for (const index of matched.rules)
      if (compiled.rules[index]!.dialects.includes(statement.dialect)) found.set(index, null);
  }
  // The text of a comment is no part of the shape, so what follows from it is not remembered.
  const aboutNotes = indices.filter(index => aboutComments.has(compiled.rules[index]!.id));
  const noted = aboutNotes.length > 0 && hasOnlyNotes(statement);
  if (noted) for (const index of aboutNotes) found.delete(index);
  const met = [...found].map(([index, span]): Met => {
    const rule = compiled.rules[index]!;
    const applies = rule.match?.applies({ ...context, dialect: statement.dialect }) ?? "yes";
    const action = applies === "yes" ? rule.action : atMostAlert(rule.action);
    return { rule, action, span, applies };
  });
  return {
    met,
    exhausted: exhausted || !whole,
    holdsForShape:
      !noted && met.every(({ rule }) => !contextual(rule.match) && (rule.on ?? "statement") === "statement"),
  };
}

/** The shape that the rule set names, for this connection; `remember` as `holdsForShape`. */
export function namedShape(
  compiled: Pick<CompiledRuleSet, "byShape">,
  shapeSha256: string,
  context: Context,
): { named: CompiledShape | null; applies: Applies; holdsForShape: boolean } {
  const shapes = compiled.byShape.get(shapeSha256) ?? [];
  let unsure: CompiledShape | null = null;
  const holdsForShape = !shapes.some(({ match }) => contextual(match));
  for (const shape of shapes) {
    const applies = shape.match?.applies({ ...context, dialect: shape.dialect }) ?? "yes";
    if (applies === "yes") return { named: shape, applies, holdsForShape };
    // What might be allowed is not; what might be meant is told of.
    if (applies === "unknown" && shape.action !== "allow") unsure ??= shape;
  }
  return { named: unsure, applies: unsure ? "unknown" : "no", holdsForShape };
}

function* textsOf(
  on: RegexSubject,
  { sql, dialect, session }: Lexing,
  { shape, ambiguous }: { shape: string; ambiguous: boolean },
): Generator<string> {
  if (on === "statement") {
    yield shape;
    if (ambiguous)
      for (const reading of readings(session)) yield lex(sql, { dialect, session: reading }).shape;
    return;
  }
  const kind = on === "literals" ? "literal" : "comment";
  for (const reading of ambiguous ? readings(session) : [session])
    for (const token of tokenize(sql, { dialect, session: reading }))
      if (token.kind === kind) yield token.text;
}

/** Each state of the session that is still possible. */
function readings(session: Session): Session[] {
  const facts = [
    [SqlSession.ESCAPES_KNOWN, SqlSession.NO_BACKSLASH],
    [SqlSession.QUOTES_KNOWN, SqlSession.ANSI_QUOTES],
    [SqlSession.CHARSET_KNOWN, SqlSession.CHARSET_UNSAFE],
  ] as const;
  return facts.reduce<Session[]>(
    (states, [known, on]) =>
      session & known ? states : states.flatMap(state => [state | known, state | known | on]),
    [session],
  );
}
