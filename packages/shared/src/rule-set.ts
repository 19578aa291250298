/**
 * The rule set as its author writes it (YAML). Shapes are named by an example statement; token rules are
 * patterns over the lexed statement (docs/token-rules.md), so attack text inside a literal never matches.
 * Line and column of an error come from the YAML reader in @picket/judge; this file only says what is valid.
 */
import { z } from "zod";
import { RuleSetName } from "./ids.ts";
import { Match } from "./rule-match.ts";
import { DriftSettings, HoldSettings, ProfileSettings } from "./rule-settings.ts";
import { Action, Dialect, Duration, Labels, Severity } from "./vocabulary.ts";

const RuleId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,40}$/, "lower-case letters, digits and hyphens, at most 41");

/** A shape that is always allowed or always blocked, given by an example statement of that shape. */
export const ShapeRule = z.strictObject({
  id: RuleId,
  action: z.enum(["allow", "observe", "alert", "block"]),
  dialects: z.array(Dialect).min(1).optional(),
  match: Match.optional().describe("only for these connections"),
  sql: z.string().min(1).max(65_536),
  reason: z.string().max(500).optional(),
});
export type ShapeRule = z.infer<typeof ShapeRule>;

const oneOrMany = z.union([
  z.string().min(1).max(8_192),
  z.array(z.string().min(1).max(8_192)).min(1).max(200),
]);

/** A statement, or one with what is known of its connection; only then the rule's `match` is asked. */
export const TestStatement = z.union([
  z.string(),
  z.strictObject({
    sql: z.string(),
    session: z.string().max(200).optional(),
    workload: z.string().max(255).optional(),
    user: z.string().max(255).optional(),
    database: z.string().max(255).optional(),
    labels: Labels.optional(),
  }),
]);
export type TestStatement = z.infer<typeof TestStatement>;

/** Exactly one of these says what a rule looks for; @picket/judge checks it, with the place in the text. */
export const RULE_SOURCES = ["tokens", "pattern", "regex"] as const;

export const Rule = z.strictObject({
  id: RuleId,
  title: z.string().min(1).max(120),
  severity: Severity,
  action: Action,
  dialects: z.array(Dialect).min(1).optional(),
  match: Match.optional().describe("only for these connections"),
  tokens: oneOrMany.optional().describe("a pattern over tokens, or alternatives; docs/token-rules.md"),
  pattern: oneOrMany.optional().describe("a pattern that looks like SQL, or alternatives; docs/patterns.md"),
  regex: oneOrMany.optional().describe("a regular expression of RE2, or alternatives; docs/regex-rules.md"),
  on: z
    .enum(["statement", "literals", "comments"])
    .optional()
    .describe("what the regular expression is run over; the statement's shape when left out"),
  reason: z.string().min(1).max(1_000),
  tests: z
    .strictObject({
      attack: z.array(TestStatement).max(1_000).default([]),
      benign: z.array(TestStatement).max(1_000).default([]),
    })
    .default({ attack: [], benign: [] }),
});
export type Rule = z.infer<typeof Rule>;

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
  metadata: z.strictObject({
    name: RuleSetName,
    description: z.string().max(500).optional(),
    precedence: z
      .int()
      .min(0)
      .max(1_000)
      .default(0)
      .describe(
        "where several rule sets run on a node: what a higher one says of a shape, and its drift, decide",
      ),
  }),
  spec: z.strictObject({
    /** Include the core rule pack that ships with Picket. */
    core: z.boolean().default(true),
    /** Change the action of core rules by id. */
    overrides: z.record(RuleId, Action).default({}),
    shapes: z.array(ShapeRule).max(10_000).default([]),
    rules: z.array(Rule).max(1_000).default([]),
    match: Match.optional().describe("whom the whole rule set is about, its core rules included"),
    drift: DriftSettings.prefault({}),
    hold: HoldSettings.prefault({}),
    profiles: z.array(ProfileSettings).max(200).default([]),
    thresholds: Thresholds.prefault({}),
  }),
});
export type RuleSet = z.infer<typeof RuleSet>;
