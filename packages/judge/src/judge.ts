/**
 * Judges one statement, as it would be sent: first by its shape, where the rule set names it, else by the
 * token rules. Where the session state is not known, or the server's version decides, the rules run over each
 * possible reading and one attack is enough. Pure, besides the native lexer.
 */
import { type DangerName, type HashKey, lex, redact } from "@picket/native/lexer";
import type { Action, Dialect, Severity, Verdict } from "@picket/shared/vocabulary";
import { type CompiledRule, type CompiledRuleSet, shapeMeaning } from "./compile.ts";
import type { Context } from "./match.ts";
import { atMostAlert, metRules, namedShape } from "./matching.ts";
import { type Session, UNKNOWN_SESSION } from "./session.ts";

export type Statement = {
  /** The exact bytes; a string is read as UTF-8. */
  sql: Uint8Array | string;
  dialect: Dialect;
  /** Bits of the lexer's SqlSession; left out, nothing is known. */
  session?: Session;
  /** What is known of its connection; rules that are about some connections only ask for it. */
  context?: Context;
};

export type Judgement = {
  verdict: Verdict;
  action: Action;
  /** Of the strongest rule. */
  severity: Severity;
  /** Ids, strongest first. */
  rules: string[];
  /** Keyed with the node's secret, where one was given; 0n: never known. */
  fingerprint: bigint;
  shape: string;
  /** Null: the statement is never known by its shape. */
  shapeSha256: string | null;
  danger: DangerName[];
  stage: "shape" | "token-rules";
  /** False: it turned on the connection or on a value, so another statement of this shape is judged anew. */
  holdsForShape: boolean;
  /** The statement without its literals. */
  redacted: string;
};

export function judge(
  compiled: CompiledRuleSet,
  statement: Statement,
  { key }: { key?: HashKey } = {},
): Judgement {
  const { sql, dialect, session = UNKNOWN_SESSION } = statement;
  return {
    ...judgeShape(compiled, statement, key),
    // Apart: most judgements are never shown to anybody.
    redacted: redact(sql, { dialect, session }),
  };
}

/** Many at once, without their texts. */
export function judgeBatch(
  compiled: CompiledRuleSet,
  statements: readonly Statement[],
): Omit<Judgement, "redacted">[] {
  return statements.map(statement => judgeShape(compiled, statement, undefined));
}

function judgeShape(
  compiled: CompiledRuleSet,
  { sql, dialect, session = UNKNOWN_SESSION, context = {} }: Statement,
  key: HashKey | undefined,
): Omit<Judgement, "redacted"> {
  const { fingerprint, shape, shapeSha256, danger, neverKnown } = lex(sql, { dialect, session, key });
  const lexed = { fingerprint, shape, shapeSha256: neverKnown ? null : shapeSha256, danger };
  const named = namedShape(compiled, neverKnown ? "" : shapeSha256, context);
  if (named.named) {
    const { action, id } = named.named;
    const meaning = shapeMeaning(action);
    return {
      ...lexed,
      ...meaning,
      ...(named.applies === "yes" ? {} : { action: atMostAlert(meaning.action) }),
      severity: action === "allow" ? "low" : "high",
      rules: [id],
      stage: "shape",
      holdsForShape: named.holdsForShape,
    };
  }
  const ambiguous = danger.includes("ambiguous");
  const matching = metRules(compiled, { sql, dialect, session }, { shape, ambiguous, context });
  const decision = decide(
    matching.met.flatMap(({ rule, action, applies }) => (applies === "no" ? [] : { ...rule, action })),
    // A statement that no server would read whole, or one that was made to tire the judge.
    { probe: matching.exhausted || danger.includes("unterminated") },
  );
  const holdsForShape = named.holdsForShape && matching.holdsForShape;
  return { ...lexed, ...decision, stage: "token-rules", holdsForShape };
}

type Decision = Pick<Judgement, "verdict" | "action" | "severity" | "rules">;

const actionRank: Record<Action, number> = { observe: 0, alert: 1, block: 2 };

/**
 * A rule of low severity is a signal that honest statements give, too: by itself it makes a probe, and adds
 * its name to what a stronger rule says.
 */
export function decide(matched: readonly CompiledRule[], { probe }: { probe: boolean }): Decision {
  const strongestFirst = matched.toSorted(
    (a, b) =>
      severityRank[b.severity] - severityRank[a.severity] || actionRank[b.action] - actionRank[a.action],
  );
  const rules = strongestFirst.map(({ id }) => id);
  const action = strongestFirst.reduce<Action>(
    (most, rule) => (actionRank[rule.action] > actionRank[most] ? rule.action : most),
    "observe",
  );
  const severity = strongestFirst[0]?.severity ?? "low";
  if (severity !== "low") return { verdict: "attack", action, severity, rules };
  if (rules.length > 0) return { verdict: "probe", action, severity, rules };
  return probe
    ? { verdict: "probe", action: "alert", severity, rules }
    : { verdict: "benign", action: "observe", severity, rules };
}

const severityRank = { low: 0, medium: 1, high: 2, critical: 3 } as const;
