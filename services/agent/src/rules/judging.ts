/**
 * What the agent needs of a compiled rule set, and how several become one: each statement is judged by all of them
 * and the strongest judgement stands; but below one that allows the shape by name nobody is asked. The compiler and
 * the judge themselves are @picket/judge's.
 */
import type { Profile, Seen, Template } from "@picket/judge/drift/profile";
import type { Context } from "@picket/judge/match";
import type { Drift } from "@picket/judge/settings";
import type { Evidence, Stage } from "@picket/shared/detection";
import type { RuleSetName } from "@picket/shared/ids";
import type { Action, Dialect, Verdict } from "@picket/shared/vocabulary";
import type { KeeperTable } from "../hold/frames.ts";
import type { HoldPlan } from "../hold/plan.ts";

export type Judgement = {
  verdict: Verdict;
  action: Action;
  /** Ids, strongest first. */
  rules: string[];
  stage: Exclude<Stage, "kernel">;
  danger: string[];
  severity: "critical" | "high" | "medium" | "low";
  /** False: it turned on the connection or on a value, so it is not remembered by the shape. */
  holdsForShape: boolean;
  /** Where in the redacted text what was found stands. */
  evidence: () => Evidence[];
  /** There where tokens leave it grey: the parser's word, which takes its time. The statement is copied at the call. */
  escalate?: () => Promise<Judgement>;
};

/** A statement as it was sent, and what is known of who sent it. */
export type Sent = {
  sql: Buffer;
  dialect: Dialect;
  session: number;
  context?: Context;
  /** What its workload has learned. */
  profile?: Profile | undefined;
};

/** What a rule set says of a shape, by an example of it. */
export type ShapeEntry = {
  rule: string;
  dialect: Dialect;
  sql: string;
  action: "allow" | Action;
  /** With this node's key. */
  fingerprint: bigint;
};

/** A statement that a rule's author wrote beside it. */
export type Example = { rule: string; dialect: Dialect; sql: string; attack: boolean };

export type CompiledRules = {
  ruleSet: RuleSetName;
  /** Of several on one node the higher one's word on a shape decides. */
  precedence: number;
  ruleIds: readonly string[];
  shapes: readonly ShapeEntry[];
  /** Of its own rules, where they hold on every connection; the core's were tested when this agent was built. */
  examples: readonly Example[];
  certificateNoticeMs: number;
  /** Its token rules, as the keeper runs them over a held statement. */
  keeper: KeeperTable;
  /** How the statements of a connection are held; as much of the context as is known. */
  holdFor(context: Context): HoldPlan;
  /** Over every connection that there may be. */
  holdAny: Pick<HoldPlan, "held" | "maxHeldBytes">;
  judge(statement: Sent): Judgement;
  /** Whether and how its profile learns; as much of the context as is known. */
  driftFor(context: Context): Drift;
  /** Some connection's profile does more than learn. */
  drifts: boolean;
  /** Takes an honest statement up; null where it may not be learned. */
  learn(profile: Profile, statement: Sent, seen: Seen): Template | null;
};

const STRENGTH: Record<Action, number> = { observe: 0, alert: 1, block: 2 };
const HOSTILITY: Record<Verdict, number> = { benign: 0, probe: 1, attack: 2 };

/** What all rule sets of a node say together. */
export function judgeByAll(
  sets: readonly Pick<CompiledRules, "precedence" | "judge">[],
  statement: Sent,
): Judgement {
  const said = sets.map(({ precedence, judge }) => ({ precedence, judgement: judge(statement) }));
  const allowed = said.filter(
    ({ judgement: { stage, verdict } }) => stage === "shape" && verdict === "benign",
  );
  return strongest(notBelow(allowed, said).map(({ judgement }) => judgement));
}

/** Whether and how a connection's profile speaks: of several rule sets the first that wants more than to learn decides. */
export function driftBy(
  sets: readonly CompiledRules[],
  context: Context,
): { rules: CompiledRules; drift: Drift } {
  const drifts = sets.map(rules => ({ rules, drift: rules.driftFor(context) }));
  return drifts.find(({ drift }) => drift.mode !== "learn" || drift.locked) ?? drifts[0]!;
}

/** Those that the highest of `allowed` does not silence. */
export function notBelow<T extends { precedence: number }>(
  allowed: readonly { precedence: number }[],
  all: readonly T[],
): T[] {
  const highest = Math.max(0, ...allowed.map(({ precedence }) => precedence));
  return all.filter(({ precedence }) => precedence >= highest);
}

function strongest(judgements: readonly Judgement[]): Judgement {
  const [first, ...rest] = judgements;
  if (!first) throw new Error("at least one rule set judges");
  return rest.reduce((strong, next) => {
    const stronger =
      HOSTILITY[next.verdict] - HOSTILITY[strong.verdict] || STRENGTH[next.action] - STRENGTH[strong.action];
    const [winner, other] = stronger > 0 ? [next, strong] : [strong, next];
    return {
      ...winner,
      rules: [...new Set([...winner.rules, ...other.rules])],
      danger: [...new Set([...winner.danger, ...other.danger])],
      holdsForShape: winner.holdsForShape && other.holdsForShape,
    };
  }, first);
}
