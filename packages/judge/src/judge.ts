/**
 * Judges one statement, as it would be sent, cheap stages first: its shape, where the rule set names it; the token
 * rules; its drift from what the workload's profile has learned. What remains grey may be escalated to the parser
 * (ast/escalation.ts), which is not synchronous. Where the session state is not known, or the server's version
 * decides, the rules run over each possible reading and one attack is enough. Pure, besides the native lexer.
 */
import { type DangerName, type HashKey, lex, redact } from "@picket/native/lexer";
import type { Action, Dialect, Severity, Verdict } from "@picket/shared/vocabulary";
import { bears } from "./bearing.ts";
import { type CompiledRule, type CompiledRuleSet, shapeMeaning } from "./compile.ts";
import { compare, type DriftFinding } from "./drift/drift.ts";
import type { Profile } from "./drift/profile.ts";
import { driftTokens } from "./drift/tokens.ts";
import { type Evidence, evidenceOf } from "./evidence.ts";
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

export type Stage = "shape" | "token-rules" | "drift" | "ast";

export type Judgement = {
  verdict: Verdict;
  action: Action;
  /** Of the strongest rule. */
  severity: Severity;
  /** Ids, strongest first; those of the profile and of the parser are `drift-…` and `ast-…`. */
  rules: string[];
  /** Keyed with the node's secret, where one was given; 0n: never known. */
  fingerprint: bigint;
  shape: string;
  /** Null: the statement is never known by its shape. */
  shapeSha256: string | null;
  danger: DangerName[];
  stage: Stage;
  /** False: it turned on the connection or on a value, so another statement of this shape is judged anew. */
  holdsForShape: boolean;
  /** What the profile says of it; null without a profile, or where an earlier stage decided. */
  drift: DriftFinding | null;
  /** Where in the statement what was found stands; most telling first. */
  evidence: Evidence[];
  /** The statement without its literals. */
  redacted: string;
};

export type Unredacted = Omit<Judgement, "redacted">;

export type Judge = {
  compiled: CompiledRuleSet;
  /** What the statement's workload has learned. */
  profile?: Profile | undefined;
  key?: HashKey | undefined;
};

export function judge(
  compiled: CompiledRuleSet,
  statement: Statement,
  { key, profile }: { key?: HashKey; profile?: Profile } = {},
): Judgement {
  return judgeWith({ compiled, profile, key }, statement);
}

/** The synchronous stages. `isGrey` says whether the parser should be asked, too. */
export function judgeWith(judge: Judge, statement: Statement): Judgement {
  const { sql, dialect, session = UNKNOWN_SESSION } = statement;
  return {
    ...judgeStages(judge, statement),
    // Apart: most judgements are never shown to anybody.
    redacted: redact(sql, { dialect, session }),
  };
}

/** Many at once, without their texts. */
export function judgeBatch(
  compiled: CompiledRuleSet,
  statements: readonly Statement[],
  { profile }: { profile?: Profile | undefined } = {},
): Unredacted[] {
  const judge = { compiled, profile };
  return statements.map(statement => judgeStages(judge, statement));
}

function judgeStages({ compiled, profile, key }: Judge, statement: Statement): Unredacted {
  const { sql, dialect, session = UNKNOWN_SESSION, context = {} } = statement;
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
      drift: null,
      evidence: [],
    };
  }
  const ambiguous = danger.includes("ambiguous");
  const matching = metRules(compiled, { sql, dialect, session }, { shape, ambiguous, context });
  const met = matching.met.filter(({ applies }) => applies !== "no");
  const decided = decide(
    met.map(({ rule, action }) => ({ ...rule, action })),
    // A statement that no server would read whole, or one that was made to tire the judge.
    { probe: matching.exhausted || danger.includes("unterminated") },
  );
  const decision =
    decided.verdict === "attack" &&
    !bears(shape, decided.rules, decided.severity) &&
    met.every(({ rule }) => rule.core)
      ? { ...decided, verdict: "probe" as const, action: atMostAlert(decided.action) }
      : decided;
  const cold: Unredacted = {
    ...lexed,
    ...decision,
    stage: "token-rules",
    holdsForShape: named.holdsForShape && matching.holdsForShape,
    drift: null,
    evidence: evidenceOf(met),
  };
  return profile
    ? withDrift(
        cold,
        profile,
        statement,
        met.every(({ rule }) => rule.core),
      )
    : cold;
}

function withDrift(
  cold: Unredacted,
  profile: Profile,
  { sql, dialect, session = UNKNOWN_SESSION }: Statement,
  core: boolean,
): Unredacted {
  const drift = compare(profile, dialect, cold.shapeSha256, driftTokens(sql, { dialect, session }), {
    unterminated: cold.danger.includes("unterminated"),
  });
  switch (drift.kind) {
    case "known":
    case "variant": {
      // A rule that looks at more than the shape may speak where it did not when the shape was learned.
      const { rules } = drift.template;
      if (cold.verdict !== "benign" && cold.rules.every(rule => rules.has(rule)) && cold.rules.length > 0)
        return { ...cold, verdict: "benign", action: "observe", severity: "low", stage: "drift", drift };
      return { ...cold, drift };
    }
    case "new":
      if (profile.locked && cold.verdict === "benign")
        return { ...cold, verdict: "probe", action: "alert", rules: ["drift-new"], stage: "drift", drift };
      return core && isForeign(cold, drift, profile)
        ? { ...cold, verdict: "probe", action: atMostAlert(cold.action), stage: "drift", drift }
        : { ...cold, drift };
    case "splice":
      return spliced(cold, drift, profile);
  }
}

/** A condition that is always true is what an attacker adds first, and what no release needs. */
const TAUTOLOGIES: ReadonlySet<string> = new Set([
  "literal-comparison",
  "constant-condition",
  "constant-condition-mysql",
]);

/**
 * Whether one rule alone calls a statement an attack that nothing ties to what the workload sends: it does not begin
 * like a template, so nothing was pasted into one. A new release writes such statements, and is told of. What several
 * rules find in places of their own, one that is critical, or a tautology, stands; but for what the workload's own
 * statements are known to hold.
 */
function isForeign(
  cold: Unredacted,
  { graftedAt, settled }: Extract<DriftFinding, { kind: "new" }>,
  profile: Profile,
): boolean {
  if (!settled || cold.verdict !== "attack") return false;
  if (graftedAt !== null && cold.evidence.some(({ span }) => span[1] > graftedAt)) return false;
  if (cold.rules.every(rule => profile.isHabit(rule))) return true;
  if (cold.severity === "critical" || cold.rules.some(rule => TAUTOLOGIES.has(rule))) return false;
  if (cold.rules.length === 1) return true;
  // The comment at the end is one thing, and what stands before it another.
  return !cold.rules.includes("trailing-comment") && overlap(cold.evidence);
}

/** Rules that all point at one place have found one thing. */
function overlap(evidence: readonly Evidence[]): boolean {
  const start = Math.max(...evidence.map(({ span }) => span[0]));
  return evidence.every(({ span }) => span[1] > start);
}

function spliced(
  cold: Unredacted,
  drift: Extract<DriftFinding, { kind: "splice" }>,
  { locked, mode }: Profile,
): Unredacted {
  const { established, signals } = drift;
  const proven = locked || (established && (signals.length > 0 || cold.rules.length > 0));
  const evidence: Evidence[] = [{ rule: "drift-splice", stage: "drift", span: drift.span }, ...cold.evidence];
  if (cold.verdict === "attack") return { ...cold, drift, evidence };
  const rules = ["drift-splice", ...cold.rules];
  if (proven || (established && drift.slot.kind === "literal" && drift.whole))
    return {
      ...cold,
      verdict: "attack",
      // Without a signal it may be a release that nobody announced: told, and never blocked.
      action: proven && mode === "enforce" ? "block" : "alert",
      severity: proven ? "high" : "medium",
      rules,
      stage: "drift",
      drift,
      evidence,
    };
  return {
    ...cold,
    verdict: "probe",
    action: "alert",
    severity: "low",
    rules,
    stage: "drift",
    drift,
    evidence,
  };
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

export const severityRank = { low: 0, medium: 1, high: 2, critical: 3 } as const;
