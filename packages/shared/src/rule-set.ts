/**
 * The rule set as its author writes it (YAML). Shapes are named by an example statement; token rules are
 * patterns over the lexed statement (docs/token-rules.md), so attack text inside a literal never matches.
 * Line and column of an error come from the YAML reader in @picket/judge; this file only says what is valid.
 */
import { z } from "zod";
import { RuleSetName } from "./ids.ts";
import { Action, Dialect, Duration, Severity } from "./vocabulary.ts";

const RuleId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,40}$/, "lower-case letters, digits and hyphens, at most 41");

/** A shape that is always allowed or always blocked, given by an example statement of that shape. */
export const ShapeRule = z.strictObject({
  id: RuleId,
  action: z.enum(["allow", "observe", "alert", "block"]),
  dialects: z.array(Dialect).min(1).optional(),
  sql: z.string().min(1).max(65_536),
  reason: z.string().max(500).optional(),
});
export type ShapeRule = z.infer<typeof ShapeRule>;

export const TokenRule = z.strictObject({
  id: RuleId,
  title: z.string().min(1).max(120),
  severity: Severity,
  action: Action,
  dialects: z.array(Dialect).min(1).optional(),
  /** One pattern or alternatives; see docs/token-rules.md. */
  tokens: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  reason: z.string().min(1).max(1_000),
  tests: z
    .strictObject({ attack: z.array(z.string()).default([]), benign: z.array(z.string()).default([]) })
    .default({ attack: [], benign: [] }),
});
export type TokenRule = z.infer<typeof TokenRule>;

export const Thresholds = z.strictObject({
  /** Events lost per node and soak beyond which a rollout step does not advance. */
  lostEventsMax: z.int().min(0).default(0),
  /** Certificate notice ahead of expiry. */
  certificateNotice: Duration.default("30d"),
});
export type Thresholds = z.infer<typeof Thresholds>;

export const RuleSet = z.strictObject({
  apiVersion: z.literal("picket/v1"),
  kind: z.literal("RuleSet"),
  metadata: z.strictObject({ name: RuleSetName, description: z.string().max(500).optional() }),
  spec: z.strictObject({
    /** Include the core rule pack that ships with Picket. */
    core: z.boolean().default(true),
    /** Change the action of core rules by id. */
    overrides: z.record(RuleId, Action).default({}),
    shapes: z.array(ShapeRule).max(10_000).default([]),
    rules: z.array(TokenRule).max(1_000).default([]),
    thresholds: Thresholds.prefault({}),
  }),
});
export type RuleSet = z.infer<typeof RuleSet>;
