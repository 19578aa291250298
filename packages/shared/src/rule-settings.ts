/**
 * How a rule set wants connections to be run: what drift from learned shapes means, and whether a statement of a
 * shape that nobody has judged is held until it is. One setting for all, and profiles that differ from it.
 */
import { z } from "zod";
import { Match } from "./rule-match.ts";
import { Duration, durationMs } from "./vocabulary.ts";

const bounded = (least: string, most: string) =>
  Duration.refine(
    text => durationMs(text) >= durationMs(least) && durationMs(text) <= durationMs(most),
    `a duration from ${least} to ${most}`,
  );

/** 65536, 64KiB or 1MiB. */
export const Bytes = z
  .union([z.int(), z.string().regex(/^\d{1,7}(B|KiB|MiB)$/, "bytes, such as 65536B, 512KiB or 1MiB")])
  .refine(value => !(bytesOf(value) < 4_096 || bytesOf(value) > 64 << 20), "from 4KiB to 64MiB");

export function bytesOf(value: number | string): number {
  if (typeof value === "number") return value;
  const [, count, unit] = /^(\d+)(B|KiB|MiB)$/.exec(value) ?? [];
  return Number(count) * ({ B: 1, KiB: 1 << 10, MiB: 1 << 20 }[unit ?? "B"] ?? 1);
}

const drift = {
  mode: z
    .enum(["learn", "alert", "enforce"])
    .describe("learn: only remember; alert: tell of statements that drift; enforce: block them, too"),
  locked: z.boolean().describe("nothing more is learned: every new shape is drift"),
  learnFor: bounded("1m", "90d").describe("the learning phase lasts at least so long"),
  learnStatements: z.int().min(1).max(1_000_000_000).describe("and at least so many statements"),
};

const hold = {
  mode: z.enum(["off", "on"]).describe("on: a statement of an unknown shape waits for its judgement"),
  deadline: bounded("1ms", "5s").describe("how long at most"),
  onFailure: z
    .enum(["open", "closed"])
    .describe("without a judgement in time: open lets it pass, closed answers with an error"),
  maxHeldBytes: Bytes.describe("per connection"),
  consult: z
    .enum(["never", "grey", "always"])
    .describe(
      "when the whole judge is asked, beyond the token rules: never, where something is odd, or always",
    ),
};

export const DriftSettings = z.strictObject({
  mode: drift.mode.default("learn"),
  locked: drift.locked.default(false),
  learnFor: drift.learnFor.default("24h"),
  learnStatements: drift.learnStatements.default(10_000),
});
export type DriftSettings = z.infer<typeof DriftSettings>;

export const HoldSettings = z.strictObject({
  mode: hold.mode.default("on"),
  deadline: hold.deadline.default("50ms"),
  onFailure: hold.onFailure.default("open"),
  maxHeldBytes: hold.maxHeldBytes.default("64MiB"),
  consult: hold.consult.default("always"),
});
export type HoldSettings = z.infer<typeof HoldSettings>;

/** What is left out is as the rule set says for all. */
export const ProfileSettings = z.strictObject({
  match: Match,
  drift: z.strictObject(drift).partial().optional(),
  hold: z.strictObject(hold).partial().optional(),
});
export type ProfileSettings = z.infer<typeof ProfileSettings>;
