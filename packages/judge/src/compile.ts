/**
 * From a rule set's text to what judges statements: the core pack merged in, overrides applied, each example
 * statement lexed to its shape, each pattern compiled, and the rules' own tests run. What does not hold is
 * reported with its place in the text, all at once.
 */
import { compileTokenRules, type HashKey, lex, type TokenRules } from "@picket/native/lexer";
import { err, ok, type Result } from "@picket/shared/result";
import type { Rule, RuleSet, ShapeRule } from "@picket/shared/rule-set";
import { type Action, Dialect, type Severity, type Verdict } from "@picket/shared/vocabulary";
import { overBudget } from "./budget.ts";
import { coreRules } from "./core.ts";
import { type CompiledMatch, compileMatch, dialectsOf } from "./match.ts";
import { compileRegexes, type Regexes, type RegexSubject } from "./regex.ts";
import { inOrder, type RuleError } from "./rule-error.ts";
import { type RuleSource, readRuleSet } from "./rule-source.ts";
import { failedTests } from "./rule-tests.ts";
import { defaultSession } from "./session.ts";
import { type CompiledSettings, compileSettings } from "./settings.ts";
import { patternsOf } from "./sources.ts";

/** A rule over tokens or by regular expression; `index` names it in kernel events and verdict entries. */
export type CompiledRule = {
  kind: "token-rule" | "regex-rule";
  index: number;
  id: string;
  title: string;
  reason: string;
  severity: Severity;
  action: Action;
  dialects: readonly Dialect[];
  /** Null: about every connection. */
  match: CompiledMatch | null;
  /** What a regular expression is run over; null for a token rule. */
  on: RegexSubject | null;
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
  match: CompiledMatch | null;
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
  /** By SHA-256, which includes the dialect; several where each is about other connections. */
  byShape: ReadonlyMap<string, readonly CompiledShape[]>;
  /** Over `rules`, index by index; one that is no token rule is never met there. */
  tokenRules: TokenRules;
  regexes: Regexes;
  /** How connections are to be run: drift and hold. */
  settings: CompiledSettings;
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
  ].map((rule, index): CompiledRule & { source: Rule } => ({
    kind: rule.regex === undefined ? "token-rule" : "regex-rule",
    index,
    id: rule.id,
    title: rule.title,
    reason: rule.reason,
    severity: rule.severity,
    action: rule.action,
    dialects: dialectsOf(rule.dialects ?? Dialect.options, [ruleSet.spec.match, rule.match]),
    match: compileMatch([ruleSet.spec.match, rule.match]),
    on: rule.regex === undefined ? null : (rule.on ?? "statement"),
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

  const sources = rules.map(({ source }) => patternsOf(source));
  for (const [index, { problems }] of sources.entries())
    for (const problem of problems) reportRule(index, problem);
  const table = compileTokenRules(
    rules.map(({ id, dialects }, index) => ({
      id,
      patterns: sources[index]!.patterns.map(({ tokens }) => tokens),
      dialects,
    })),
  );
  if (!table.ok)
    for (const { ruleIndex, pattern, column, message } of table.error) {
      const { path, origin } = sources[ruleIndex]!.patterns[pattern] ?? { path: [], origin: () => 0 };
      reportRule(ruleIndex, { code: "pattern", path, character: origin(column - 1), message });
    }
  const { regexes, problems } = compileRegexes(
    rules.flatMap(({ index, on, source }) =>
      on === null ? [] : [{ ruleIndex: index, on, expressions: [source.regex ?? []].flat() }],
    ),
  );
  for (const { ruleIndex, expression, ...problem } of problems)
    reportRule(ruleIndex, {
      code: "regex",
      path: ["regex", ...(Array.isArray(rules[ruleIndex]!.source.regex) ? [expression] : [])],
      ...problem,
    });
  const shapes = compileShapes(ruleSet, rules.length, report);
  for (const finding of overBudget({ ruleSet, rules: rules.length, shapes })) report(finding);

  const compiledRules = rules.map(({ source: _source, ...rule }) => rule);
  const entries = [...compiledRules, ...shapes];
  if (table.ok && problems.length === 0) {
    const compiled: CompiledRuleSet = {
      name: ruleSet.metadata.name,
      ruleSet,
      rules: compiledRules,
      shapes,
      entries,
      byId: new Map(entries.map(entry => [entry.id, entry])),
      byShape: grouped(shapes),
      tokenRules: table.value,
      regexes,
      settings: compileSettings(ruleSet),
    };
    for (const { index, source } of rules)
      for (const finding of failedTests(compiled, index, source)) reportRule(index, finding);
    if (errors.length === 0) return ok(compiled);
  }
  return err(inOrder(errors));
}

function grouped(shapes: readonly CompiledShape[]): Map<string, CompiledShape[]> {
  const groups = new Map<string, CompiledShape[]>();
  for (const shape of shapes)
    groups.set(shape.shapeSha256, [...(groups.get(shape.shapeSha256) ?? []), shape]);
  return groups;
}

type Report = (finding: Parameters<RuleSource["error"]>[0]) => void;

function compileShapes({ spec }: RuleSet, firstIndex: number, report: Report): CompiledShape[] {
  const shapes = new Map<string, CompiledShape>();
  for (const [i, rule] of spec.shapes.entries()) {
    const path = ["spec", "shapes", i, "sql"];
    const match = compileMatch([spec.match, rule.match]);
    // The same shape may mean something else on other connections.
    const about = rule.match ? JSON.stringify(rule.match) : "";
    const refused: string[] = [];
    const conflicting = new Set<string>();
    let taken = 0;
    for (const dialect of dialectsOf(rule.dialects ?? Dialect.options, [spec.match, rule.match])) {
      const { shape, shapeSha256, danger, neverKnown } = lex(rule.sql, {
        dialect,
        session: defaultSession(dialect),
      });
      if (neverKnown) {
        refused.push(`${dialect}: ${danger.flatMap(name => neverKnownBecause[name] ?? []).join(", ")}`);
        continue;
      }
      taken += 1;
      const other = shapes.get(`${shapeSha256} ${about}`);
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
      shapes.set(`${shapeSha256} ${about}`, {
        kind: "shape",
        index: firstIndex + shapes.size,
        id: rule.id,
        title: `Shape ${rule.id}`,
        reason: rule.reason ?? `The rule set says ${rule.action} for this shape.`,
        action: rule.action,
        dialect,
        match,
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

/**
 * What the kernel is to know from the start: the rule set's own shapes, hashed with this node's secret. One that is
 * about some connections only is not among them, since the kernel's map asks for no connection.
 */
export function fingerprints(compiled: CompiledRuleSet, key: HashKey): FingerprintEntry[] {
  return compiled.shapes.filter(holdsEverywhere).map(({ sql, dialect, action, index, shapeSha256 }) => ({
    fingerprint: lex(sql, { dialect, session: defaultSession(dialect), key }).fingerprint,
    ...shapeMeaning(action),
    rule: index,
    shapeSha256,
  }));
}

export const holdsEverywhere = ({ match }: Pick<CompiledShape, "match">): boolean =>
  match === null || match.fields.length === 0;

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
