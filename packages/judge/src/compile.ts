/**
 * From a rule set's text to what judges statements: the core pack merged in, overrides applied, each example
 * statement lexed to its shape, each pattern compiled, and the rules' own tests run. What does not hold is
 * reported with its place in the text, all at once.
 */
import { compileTokenRules, type HashKey, lex, type TokenRules } from "@picket/native/lexer";
import { err, ok, type Result } from "@picket/shared/result";
import type { RuleSet, ShapeRule, TokenRule } from "@picket/shared/rule-set";
import { type Action, Dialect, type Severity, type Verdict } from "@picket/shared/vocabulary";
import { coreRules } from "./core.ts";
import { inOrder, type RuleError } from "./rule-error.ts";
import { type RuleSource, readRuleSet } from "./rule-source.ts";
import { defaultSession } from "./session.ts";
import type { Path } from "./yaml-source.ts";

/** A token rule; `index` names it in kernel events and verdict entries. */
export type CompiledRule = {
  kind: "token-rule";
  index: number;
  id: string;
  title: string;
  reason: string;
  severity: Severity;
  action: Action;
  dialects: readonly Dialect[];
  core: boolean;
};

/** A shape named by an example, in one dialect; the same rule in another dialect is an entry of its own. */
export type CompiledShape = {
  kind: "shape";
  index: number;
  id: string;
  title: string;
  reason: string;
  action: ShapeRule["action"];
  dialect: Dialect;
  sql: string;
  shape: string;
  shapeSha256: string;
};

export type CompiledRuleSet = {
  name: string;
  ruleSet: RuleSet;
  rules: readonly CompiledRule[];
  shapes: readonly CompiledShape[];
  /** rules, then shapes: the index that the kernel's `rule` fields hold. */
  entries: readonly (CompiledRule | CompiledShape)[];
  byId: ReadonlyMap<string, CompiledRule | CompiledShape>;
  /** By SHA-256, which includes the dialect. */
  byShape: ReadonlyMap<string, CompiledShape>;
  tokenRules: TokenRules;
};

/** An entry for the kernel's verdict map. */
export type FingerprintEntry = {
  fingerprint: bigint;
  verdict: Verdict;
  action: Action;
  /** Index into `entries`. */
  rule: number;
  shapeSha256: string;
};

export function compileRuleSet(
  text: string,
  { core = coreRules() }: { core?: RuleSource | null } = {},
): Result<CompiledRuleSet, RuleError[]> {
  const coreIds = core?.ruleSet.spec.rules.map(({ id }) => id) ?? [];
  const source = readRuleSet(text, { coreIds });
  if (!source.ok) return source;
  const { ruleSet } = source.value;
  const errors: RuleError[] = [];
  const report = (finding: Parameters<RuleSource["error"]>[0]) => errors.push(source.value.error(finding));

  const coreTokenRules = ruleSet.spec.core && core ? core.ruleSet.spec.rules : [];
  const rules = [
    ...coreTokenRules.map(rule => ({
      ...rule,
      action: ruleSet.spec.overrides[rule.id] ?? rule.action,
      core: true,
    })),
    ...ruleSet.spec.rules.map(rule => ({ ...rule, core: false })),
  ].map((rule, index): CompiledRule & { source: TokenRule } => ({
    kind: "token-rule",
    index,
    id: rule.id,
    title: rule.title,
    reason: rule.reason,
    severity: rule.severity,
    action: rule.action,
    dialects: rule.dialects ?? Dialect.options,
    core: rule.core,
    source: rule,
  }));
  /** Own rules have a place in the text; the core's have none there, and are only wrong when the build is. */
  const reportRule = (index: number, finding: Parameters<RuleSource["error"]>[0]) => {
    const { core: ofCore, id } = rules[index]!;
    if (!ofCore)
      return report({ ...finding, path: ["spec", "rules", index - coreTokenRules.length, ...finding.path] });
    errors.push({
      code: finding.code,
      line: 1,
      column: 1,
      path: "spec.core",
      rule: id,
      message: `a core rule does not hold here: ${finding.message}`,
      hint: "the core rules and the lexer are of different builds: run `npm run build`",
    });
  };

  const table = compileTokenRules(
    rules.map(({ id, source, dialects }) => ({ id, patterns: patternsOf(source), dialects })),
  );
  if (!table.ok) {
    for (const { ruleIndex, pattern, column, message } of table.error) {
      const list = Array.isArray(rules[ruleIndex]!.source.tokens);
      reportRule(ruleIndex, {
        code: "pattern",
        path: ["tokens", ...(list ? [pattern] : [])],
        character: column - 1,
        message,
      });
    }
  } else
    for (const rule of rules)
      for (const finding of failedTests(rule, table.value)) reportRule(rule.index, finding);

  const shapes = compileShapes(ruleSet.spec.shapes, rules.length, report);
  if (errors.length > 0 || !table.ok) return err(inOrder(errors));

  const compiledRules = rules.map(({ source: _source, ...rule }) => rule);
  const entries = [...compiledRules, ...shapes];
  return ok({
    name: ruleSet.metadata.name,
    ruleSet,
    rules: compiledRules,
    shapes,
    entries,
    byId: new Map(entries.map(entry => [entry.id, entry])),
    byShape: new Map(shapes.map(shape => [shape.shapeSha256, shape])),
    tokenRules: table.value,
  });
}

const patternsOf = ({ tokens }: TokenRule): string[] => (Array.isArray(tokens) ? tokens : [tokens]);

type Report = (finding: Parameters<RuleSource["error"]>[0]) => void;

function compileShapes(rules: readonly ShapeRule[], firstIndex: number, report: Report): CompiledShape[] {
  const shapes = new Map<string, CompiledShape>();
  for (const [i, rule] of rules.entries()) {
    const path = ["spec", "shapes", i, "sql"];
    const refused: string[] = [];
    const conflicting = new Set<string>();
    let taken = 0;
    for (const dialect of rule.dialects ?? Dialect.options) {
      const { shape, shapeSha256, danger, neverKnown } = lex(rule.sql, {
        dialect,
        session: defaultSession(dialect),
      });
      if (neverKnown) {
        refused.push(`${dialect}: ${danger.flatMap(name => neverKnownBecause[name] ?? []).join(", ")}`);
        continue;
      }
      taken += 1;
      const other = shapes.get(shapeSha256);
      if (other && other.id !== rule.id && other.action !== rule.action && !conflicting.has(other.id)) {
        conflicting.add(other.id);
        report({
          code: "conflict",
          path,
          message: `has the same shape as "${other.id}" in ${dialect}, which says ${other.action} and not ${rule.action}`,
          hint: `the shape is: ${shape}`,
        });
      }
      if (other) continue;
      shapes.set(shapeSha256, {
        kind: "shape",
        index: firstIndex + shapes.size,
        id: rule.id,
        title: `Shape ${rule.id}`,
        reason: rule.reason ?? `The rule set says ${rule.action} for this shape.`,
        action: rule.action,
        dialect,
        sql: rule.sql,
        shape,
        shapeSha256,
      });
    }
    // Where no dialect is named, one that can read the example is enough.
    if (taken === 0 || (rule.dialects && refused.length > 0))
      report({
        code: "shape",
        path,
        message: `a statement like this has no fixed shape (${refused.join("; ")})`,
        hint: "name it by a token rule instead, or give a whole statement",
      });
  }
  return [...shapes.values()];
}

const neverKnownBecause: Partial<Record<ReturnType<typeof lex>["danger"][number], string>> = {
  code: "a literal in it is code or session state",
  ambiguous: "how it reads depends on the server's version or session",
  unterminated: "a quote or comment is not closed",
  "malformed-number": "a number runs into a letter",
};

type TestFinding = { code: "test"; path: Path; message: string; hint: string };

/** `attack` statements must match in one of the rule's dialects at least, `benign` ones in none. */
function failedTests(rule: CompiledRule & { source: TokenRule }, table: TokenRules): TestFinding[] {
  const matches = (sql: string) =>
    rule.dialects.filter(dialect =>
      table.match(sql, { dialect, session: defaultSession(dialect) }).indices.includes(rule.index),
    );
  const { attack, benign } = rule.source.tests;
  return [
    ...attack.flatMap((sql, i): TestFinding[] =>
      matches(sql).length > 0
        ? []
        : [
            {
              code: "test",
              path: ["tests", "attack", i],
              message: "the rule does not match its own attack",
              hint: "`picket judge` shows how the statement is read",
            },
          ],
    ),
    ...benign.flatMap((sql, i): TestFinding[] => {
      const where = matches(sql);
      return where.length === 0
        ? []
        : [
            {
              code: "test",
              path: ["tests", "benign", i],
              message: `the rule matches its own benign statement (${where.join(", ")})`,
              hint: "make the pattern narrower",
            },
          ];
    }),
  ];
}

/** What the kernel is to know from the start: the rule set's own shapes, hashed with this node's secret. */
export function fingerprints(compiled: CompiledRuleSet, key: HashKey): FingerprintEntry[] {
  return compiled.shapes.map(({ sql, dialect, action, index, shapeSha256 }) => ({
    fingerprint: lex(sql, { dialect, session: defaultSession(dialect), key }).fingerprint,
    ...shapeMeaning(action),
    rule: index,
    shapeSha256,
  }));
}

export function shapeMeaning(action: ShapeRule["action"]): { verdict: Verdict; action: Action } {
  switch (action) {
    case "allow":
      return { verdict: "benign", action: "observe" };
    case "observe":
    case "alert":
    case "block":
      return { verdict: "attack", action };
  }
}
