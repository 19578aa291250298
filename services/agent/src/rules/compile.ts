/** @picket/judge as the agent uses it: with this node's hash key, on bytes as the wire had them. */

import { type Escalation, isGrey } from "@picket/judge/ast/escalation";
import { type CompiledRuleSet, compileRuleSet, fingerprints, holdsEverywhere } from "@picket/judge/compile";
import { toldEvidence } from "@picket/judge/evidence";
import { type Judgement as JudgeJudgement, judgeWith, type Statement } from "@picket/judge/judge";
import { learn } from "@picket/judge/learn";
import { formatRuleErrors } from "@picket/judge/rule-error";
import { type Drift, settingsFor } from "@picket/judge/settings";
import type { HashKey } from "@picket/native/lexer";
import type { RuleSetName } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import { durationMs } from "@picket/shared/vocabulary";
import type { CompiledRules, Example, Judgement } from "./judging.ts";

/** `name` stands in error messages: a file, or a bundle. */
export function createCompiler(
  key: HashKey,
  escalation: Escalation,
): (text: string, name: string) => Result<CompiledRules, string> {
  return (text, name) => {
    const compiled = compileRuleSet(text);
    return compiled.ok
      ? ok(adapt(compiled.value, key, escalation))
      : err(formatRuleErrors(name, compiled.error));
  };
}

function adapt(compiled: CompiledRuleSet, key: HashKey, escalation: Escalation): CompiledRules {
  const entries = fingerprints(compiled, key);
  const holds = [compiled.settings, ...compiled.settings.profiles].map(({ hold }) => hold);
  return {
    ruleSet: compiled.ruleSet.metadata.name as RuleSetName,
    precedence: compiled.ruleSet.metadata.precedence,
    // What is allowed is never named to anybody, and the kernel's names are few.
    ruleIds: [...new Set(compiled.entries.flatMap(({ id, action }) => (action === "allow" ? [] : id)))],
    shapes: compiled.shapes.filter(holdsEverywhere).map(({ id, dialect, sql, action }, index) => ({
      rule: id,
      dialect,
      sql,
      action,
      fingerprint: entries[index]!.fingerprint,
    })),
    examples: examplesOf(compiled),
    keeper: keeperTable(compiled),
    holdFor: context => {
      const { hold, drift } = settingsFor(compiled.settings, context);
      // The keeper has neither profiles nor regular expressions.
      const onlyHere = compiled.regexes.subjects.length > 0 || tells(drift);
      return {
        held: hold.mode === "on",
        maxHeldBytes: hold.maxHeldBytes,
        policy: { ...hold, consult: onlyHere ? "always" : hold.consult },
      };
    },
    holdAny: {
      held: holds.some(({ mode }) => mode === "on"),
      maxHeldBytes: Math.max(...holds.map(({ maxHeldBytes }) => maxHeldBytes)),
    },
    certificateNoticeMs: durationMs(compiled.ruleSet.spec.thresholds.certificateNotice),
    judge: ({ profile, context = {}, sql, dialect, session }): Judgement => {
      const statement = { sql, dialect, session, context };
      const judgement = judgeWith({ compiled, profile }, statement);
      const told = toldOf(compiled, statement, judgement);
      if (!isGrey(judgement)) return told;
      return {
        ...told,
        escalate: async () => {
          const asked = { ...statement, sql: Buffer.from(sql) };
          return toldOf(compiled, asked, await escalation.escalate(judgement, asked));
        },
      };
    },
    drifts: [compiled.settings, ...compiled.settings.profiles].some(({ drift }) => tells(drift)),
    driftFor: context => settingsFor(compiled.settings, context).drift,
    learn: (profile, { context = {}, sql, dialect, session }, seen) => {
      const learned = learn(compiled, profile, { sql, dialect, session, context }, seen);
      return learned.ok ? learned.value : null;
    },
  };
}

/** Whether drift means more than learning. */
const tells = ({ mode, locked }: Drift): boolean => mode !== "learn" || locked;

function toldOf(compiled: CompiledRuleSet, statement: Statement, judgement: JudgeJudgement): Judgement {
  const { verdict, action, rules, stage, danger } = judgement;
  return {
    verdict,
    action,
    rules,
    stage,
    danger,
    severity: stage === "drift" || stage === "ast" ? judgement.severity : severityOf(compiled, rules[0]),
    // Another workload may send the same shape, and honestly.
    holdsForShape: judgement.holdsForShape && stage !== "drift",
    evidence: () => toldEvidence(statement, judgement),
  };
}

/** Where a session or a connection is given with it, only the judge can tell: it ran when the set was compiled. */
function examplesOf(compiled: CompiledRuleSet): Example[] {
  return compiled.ruleSet.spec.rules.flatMap(({ id, tests }) => {
    const rule = compiled.byId.get(id);
    if (rule?.kind !== "token-rule" || !holdsEverywhere(rule)) return [];
    const of = (list: typeof tests.attack, attack: boolean) =>
      list.flatMap(sql =>
        typeof sql === "string"
          ? rule.dialects.map((dialect): Example => ({ rule: id, dialect, sql, attack }))
          : [],
      );
    return [...of(tests.attack, true), ...of(tests.benign, false)];
  });
}

/**
 * The keeper knows tokens and nothing of connections: a rule that is about some of them only, and every rule where a
 * shape is allowed to some, makes it ask.
 */
function keeperTable(compiled: CompiledRuleSet): CompiledRules["keeper"] {
  const asks = compiled.shapes.some(shape => shape.action === "allow" && !holdsEverywhere(shape));
  return {
    table: compiled.tokenRules.table,
    rules: compiled.rules.map(({ id, action, match }) => ({
      id,
      action: action === "block" && (asks || !holdsEverywhere({ match })) ? "alert" : action,
    })),
  };
}

/** A shape that somebody listed by hand is meant; a probe that no rule names is a hint. */
function severityOf(compiled: CompiledRuleSet, id: string | undefined): Judgement["severity"] {
  const entry = id === undefined ? undefined : compiled.byId.get(id);
  if (!entry) return "low";
  return entry.kind === "shape" ? "high" : entry.severity;
}

/** The core rules and nothing else: what an agent judges by until it is given rules. */
export const CORE_ONLY = `apiVersion: picket/v1
kind: RuleSet
metadata:
  name: core
  description: The rules that ship with Picket
spec: {}
`;
