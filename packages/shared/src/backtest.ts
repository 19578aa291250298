/** What a backtest says (docs/backtest.md): counts in shapes and in statements, with examples. SQL in it is redacted. */
import { z } from "zod";
import { RuleSetName, RuleVersion } from "./ids.ts";
import { Action, Dialect, Verdict } from "./vocabulary.ts";

const Tally = z.object({ shapes: z.int(), statements: z.int() });

export const BacktestExample = z.object({
  /** Null: never known. */
  shape: z.string().nullable(),
  dialect: Dialect,
  sql: z.string(),
  verdict: Verdict,
  action: Action,
  rules: z.array(z.string()),
  /** How often it was sent. */
  statements: z.int(),
  nodes: z.int(),
  workloads: z.array(z.string()),
});
export type BacktestExample = z.infer<typeof BacktestExample>;

const WithExamples = Tally.extend({ examples: z.array(BacktestExample) });

export const BacktestReport = Tally.extend({
  /** Counted in the totals and judged by nobody: their shape cannot be written as a statement. */
  notReplayed: Tally,
  outcomes: z.object({ block: Tally, alert: Tally, observe: Tally, pass: Tally }),
  /** A statement that meets two rules counts for both. */
  byRule: z.array(Tally.extend({ rule: z.string() })),
  examples: z.object({ block: z.array(BacktestExample), alert: z.array(BacktestExample) }),
  /** Against the rule set in use; null where there is none. */
  changes: z
    .object({ newlyBlocked: WithExamples, newlyAlerted: WithExamples, noLongerBlocked: WithExamples })
    .nullable(),
  /** First seen since the rule set in use came, or within a week where there is none. */
  newShapes: WithExamples,
});
export type BacktestReport = z.infer<typeof BacktestReport>;

/** Of a version that was pushed, or of a rule text as it lies on the author's disk. */
export const BacktestRequest = z.union([
  z.strictObject({ ruleSet: RuleSetName, version: RuleVersion }),
  z.strictObject({
    ruleText: z
      .string()
      .min(1)
      .max(2 << 20),
  }),
]);
export type BacktestRequest = z.infer<typeof BacktestRequest>;

export const BacktestState = z.enum(["queued", "running", "done", "failed"]);
export type BacktestState = z.infer<typeof BacktestState>;

/** Over the shapes that the fleet has reported, beside the version that is stable. */
export const Backtest = z.object({
  id: z.uuid(),
  ruleSet: RuleSetName,
  /** Null: of a text that was not pushed. */
  version: RuleVersion.nullable(),
  /** The stable version that it was compared with; null where there was none. */
  baseline: RuleVersion.nullable(),
  state: BacktestState,
  createdAt: z.iso.datetime(),
  createdBy: z.string(),
  finishedAt: z.iso.datetime().nullable(),
  /** In one line, when it is done. */
  summary: z.string().nullable(),
  /** Why it failed. */
  error: z.string().nullable(),
});
export type Backtest = z.infer<typeof Backtest>;

export const BacktestDetails = Backtest.extend({ report: BacktestReport.nullable() });
export type BacktestDetails = z.infer<typeof BacktestDetails>;

/** In one line: would have blocked 0 of 41 M statements, 3 shapes are new. */
export function backtestSummary({
  shapes,
  statements,
  outcomes,
  newShapes,
  notReplayed,
}: BacktestReport): string {
  const { block, alert } = outcomes;
  return [
    `would have blocked ${amount(block.statements)} of ${amount(statements)} statements (${amount(block.shapes)} of ${amount(shapes)} shapes)`,
    alert.statements > 0 ? `alerted on ${amount(alert.statements)}` : "",
    `${amount(newShapes.shapes)} ${newShapes.shapes === 1 ? "shape is" : "shapes are"} new`,
    notReplayed.shapes > 0 ? `${amount(notReplayed.shapes)} could not be replayed` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

/** Small numbers in full, so that 1 of 41 M stays 1. */
function amount(count: number): string {
  for (const [unit, size] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e4],
  ] as const)
    if (count >= size) {
      const scaled = count / (unit === "k" ? 1e3 : size);
      return `${scaled >= 100 ? Math.round(scaled) : Math.round(scaled * 10) / 10} ${unit}`;
    }
  return String(count);
}
