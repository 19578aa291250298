/**
 * What a rule set would have done to statements that were really sent: each shape is judged once and counts as often
 * as it was used. Beside another rule set (the one in use) it says what would change. Bounded: of each kind the most
 * used examples are kept. Pure; whoever feeds it decides where it runs.
 */
import type { BacktestExample, BacktestReport } from "@picket/shared/backtest";
import type { Dialect } from "@picket/shared/vocabulary";
import type { CompiledRuleSet } from "./compile.ts";
import { type Judgement, judge } from "./judge.ts";
import type { Context } from "./match.ts";
import type { Session } from "./session.ts";

export type Replayed = {
  /** Of its shape. Those of one shape that differ in context come one after the other, and are one shape. */
  key: string;
  /** The statement; of a shape more than one where they may be judged otherwise. Empty: it cannot be replayed. */
  spellings: readonly (Uint8Array | string)[];
  dialect: Dialect;
  session: Session;
  /** How often it was sent. */
  statements: number;
  context: Context;
  /** First seen since the rule set in use came. */
  isNew: boolean;
  /** On how many nodes, and by which workloads. */
  nodes: number;
  workloads: readonly string[];
};

const EXAMPLES_MAX = 25;
const SQL_CHARACTERS_MAX = 2_000;

type Kept = BacktestExample[];
type Tally = { shapes: number; statements: number };

export function createBacktest({
  candidate,
  baseline,
}: {
  candidate: CompiledRuleSet;
  baseline: CompiledRuleSet | null;
}): { feed(replayed: Replayed): void; report(): BacktestReport } {
  const tally = (): Tally => ({ shapes: 0, statements: 0 });
  const totals = { all: tally(), notReplayed: tally(), fresh: tally() };
  const outcomes = { block: tally(), alert: tally(), observe: tally(), pass: tally() };
  const changes = { newlyBlocked: tally(), newlyAlerted: tally(), noLongerBlocked: tally() };
  const examples: Record<keyof typeof changes | "block" | "alert" | "fresh", Kept> = {
    block: [],
    alert: [],
    fresh: [],
    newlyBlocked: [],
    newlyAlerted: [],
    noLongerBlocked: [],
  };
  const byRule = new Map<string, Tally>();
  const lastKey = new Map<Tally, string>();

  const add = (to: Tally, { key, statements }: Replayed) => {
    if (lastKey.get(to) !== key) to.shapes += 1;
    lastKey.set(to, key);
    to.statements += statements;
  };

  function feed(replayed: Replayed): void {
    add(totals.all, replayed);
    const judgement = strongest(candidate, replayed);
    if (!judgement) {
      add(totals.notReplayed, replayed);
      return;
    }
    const outcome = outcomeOf(judgement);
    add(outcomes[outcome], replayed);
    const keep = (kind: keyof typeof examples) => keepExample(examples[kind], replayed, judgement);
    if (outcome === "block" || outcome === "alert") keep(outcome);
    if (judgement.verdict !== "benign")
      for (const id of judgement.rules) {
        const of = byRule.get(id) ?? tally();
        byRule.set(id, of);
        add(of, replayed);
      }
    if (replayed.isNew) {
      add(totals.fresh, replayed);
      keep("fresh");
    }
    if (!baseline) return;
    const before = outcomeOf(strongest(baseline, replayed) ?? judgement);
    const change =
      outcome === before
        ? null
        : outcome === "block"
          ? "newlyBlocked"
          : before === "block"
            ? "noLongerBlocked"
            : outcome === "alert"
              ? "newlyAlerted"
              : null;
    if (change === null) return;
    add(changes[change], replayed);
    keep(change);
  }

  return {
    feed,
    report: () => ({
      ...totals.all,
      notReplayed: totals.notReplayed,
      outcomes,
      byRule: [...byRule]
        .map(([rule, of]) => ({ rule, ...of }))
        .toSorted((a, b) => b.statements - a.statements || (a.rule < b.rule ? -1 : 1))
        .slice(0, 100),
      examples: { block: examples.block, alert: examples.alert },
      changes: baseline && {
        newlyBlocked: { ...changes.newlyBlocked, examples: examples.newlyBlocked },
        newlyAlerted: { ...changes.newlyAlerted, examples: examples.newlyAlerted },
        noLongerBlocked: { ...changes.noLongerBlocked, examples: examples.noLongerBlocked },
      },
      newShapes: { ...totals.fresh, examples: examples.fresh },
    }),
  };
}

const outcomeRank = { pass: 0, observe: 1, alert: 2, block: 3 } as const;

/** A promise that nothing is blocked must hold for each way in which the shape may be spelled. */
function strongest(compiled: CompiledRuleSet, { spellings, ...statement }: Replayed): Judgement | null {
  return spellings.reduce<Judgement | null>((strong, sql) => {
    const judgement = judge(compiled, { ...statement, sql });
    return strong && outcomeRank[outcomeOf(strong)] >= outcomeRank[outcomeOf(judgement)] ? strong : judgement;
  }, null);
}

function outcomeOf({
  verdict,
  action,
}: Pick<Judgement, "verdict" | "action">): keyof BacktestReport["outcomes"] {
  return verdict === "benign" ? "pass" : action;
}

/** The most used ones, in that order. */
function keepExample(
  kept: Kept,
  { statements, dialect, nodes, workloads }: Replayed,
  judgement: Judgement,
): void {
  if (kept.length === EXAMPLES_MAX && statements <= kept.at(-1)!.statements) return;
  const { verdict, action, rules, redacted, shapeSha256 } = judgement;
  const example: BacktestExample = {
    shape: shapeSha256,
    dialect,
    sql: redacted.length <= SQL_CHARACTERS_MAX ? redacted : `${redacted.slice(0, SQL_CHARACTERS_MAX - 1)}…`,
    verdict,
    action,
    rules: rules.slice(0, 32),
    statements,
    nodes,
    workloads: workloads.slice(0, 8),
  };
  const at = kept.findIndex(other => other.statements < statements);
  kept.splice(at < 0 ? kept.length : at, 0, example);
  if (kept.length > EXAMPLES_MAX) kept.pop();
}
