/** The words of DESIGN §1, once. */
import { z } from "zod";

export const Verdict = z.enum(["benign", "attack", "probe"]);
export type Verdict = z.infer<typeof Verdict>;

/** What a rule asks for, weakest first. */
export const Action = z.enum(["observe", "alert", "block"]);
export type Action = z.infer<typeof Action>;

/** How a workload is run on a node. */
export const WorkloadMode = z.enum(["off", "observe", "enforce"]);
export type WorkloadMode = z.infer<typeof WorkloadMode>;

/** What was true for a connection or a statement. */
export const Guarantee = z.enum(["prevented", "severed", "observed", "unseen"]);
export type Guarantee = z.infer<typeof Guarantee>;

export const Priority = z.enum(["P0", "P1", "P2", "P3"]);
export type Priority = z.infer<typeof Priority>;

export const Severity = z.enum(["critical", "high", "medium", "low"]);
export type Severity = z.infer<typeof Severity>;

export const Dialect = z.enum(["mysql", "pg"]);
export type Dialect = z.infer<typeof Dialect>;

export const Labels = z.record(z.string().min(1).max(63), z.string().max(253));
export type Labels = z.infer<typeof Labels>;

/** Seconds as people write them: 90s, 10m, 2h, 7d. */
export const Duration = z
  .string()
  .regex(/^\d{1,6}(ms|s|m|h|d)$/, "a duration such as 500ms, 30s, 10m, 2h or 7d");

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a `Duration`. */
export function durationMs(duration: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(duration);
  if (!match) throw new RangeError(`not a duration: ${duration}`);
  return Number(match[1]) * unitMs[match[2]!]!;
}
