/**
 * What a twin found: the statements that its version would have judged otherwise than what enforces (docs/rollouts.md).
 * A node tells totals since the twin began on it, so a report that is lost or comes twice changes nothing.
 */
import { z } from "zod";
import { AssignmentId, RolloutId, RuleSetName, RuleVersion, ShapeDigest } from "./ids.ts";
import { Action, Dialect, Verdict } from "./vocabulary.ts";

/** As many as a node tells of; what is beyond is counted. */
export const TWIN_DIFFERENCES_MAX = 100;
export const TWIN_SQL_MAX = 1_000;

export const TwinWord = z.strictObject({
  verdict: Verdict,
  action: Action,
  /** The strongest one; null: no rule speaks. */
  rule: z.string().max(200).nullable(),
});
export type TwinWord = z.infer<typeof TwinWord>;

/**
 * `would-block`: passes now. `would-pass`: is blocked now. `otherwise`: neither or both block, and another verdict or
 * action is asked for.
 */
export const TwinDifferenceKind = z.enum(["would-block", "would-pass", "otherwise"]);
export type TwinDifferenceKind = z.infer<typeof TwinDifferenceKind>;

export const TwinDifference = z.strictObject({
  kind: TwinDifferenceKind,
  /** Null: its like is never known by its shape. */
  shape: ShapeDigest.nullable(),
  dialect: Dialect,
  /** Redacted. */
  sql: z.string().max(TWIN_SQL_MAX),
  /** Of the first who sent it. */
  workload: z.string().max(255),
  stable: TwinWord,
  candidate: TwinWord,
  /** Statements. */
  count: z.int().min(0),
});
export type TwinDifference = z.infer<typeof TwinDifference>;

export const TwinFigures = z.strictObject({
  /** Judged by what enforces, since the twin began. */
  statements: z.int().min(0),
  /** Of these, those of which both words are known. */
  compared: z.int().min(0),
  /** Of these in turn, those that are judged otherwise. */
  wouldBlock: z.int().min(0),
  wouldPass: z.int().min(0),
  otherwise: z.int().min(0),
});
export type TwinFigures = z.infer<typeof TwinFigures>;

export const TwinReport = TwinFigures.extend({
  assignment: AssignmentId,
  rollout: RolloutId.nullable(),
  ruleSet: RuleSetName,
  version: RuleVersion,
  /** Drawn when the twin begins on the node: its totals begin anew. */
  epoch: z.uuid(),
  /** The most frequent. */
  differences: z.array(TwinDifference).max(TWIN_DIFFERENCES_MAX),
  /** Further ones, which are in the figures and not in the list. */
  unlisted: z.int().min(0),
});
export type TwinReport = z.infer<typeof TwinReport>;

const blocks = ({ verdict, action }: TwinWord): boolean => action === "block" && verdict !== "benign";

/** Null: both say the same. By which rule they say it is no difference. */
export function twinDifference(stable: TwinWord, candidate: TwinWord): TwinDifferenceKind | null {
  if (blocks(stable) !== blocks(candidate)) return blocks(candidate) ? "would-block" : "would-pass";
  return stable.verdict === candidate.verdict && stable.action === candidate.action ? null : "otherwise";
}
