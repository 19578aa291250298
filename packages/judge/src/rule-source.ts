/**
 * From the text that an author wrote to a valid rule set that still knows where everything stood, or to every
 * error in it at once. What only the compiler finds (patterns, example statements) it positions with `error`.
 */
import { err, ok, type Result } from "@picket/shared/result";
import { RULE_SOURCES, RuleSet } from "@picket/shared/rule-set";
import { didYouMean } from "./did-you-mean.ts";
import { inOrder, pathText, type RuleError, type RuleErrorCode } from "./rule-error.ts";
import { schemaFindings, valueAt } from "./schema-errors.ts";
import { type Path, readYaml, type YamlSource } from "./yaml-source.ts";

export type RuleSource = {
  ruleSet: RuleSet;
  /** For errors that only the compiler finds. */
  error(finding: {
    code: RuleErrorCode;
    path: Path;
    message: string;
    hint?: string | null;
    /** Within the text at `path`. */
    character?: number;
  }): RuleError;
};

/** Ids and nothing else of the core pack: what overrides may name and own rules may not take. */
export type CoreIds = readonly string[];

export function readRuleSet(
  text: string,
  { coreIds }: { coreIds: CoreIds },
): Result<RuleSource, RuleError[]> {
  const source = readYaml(text);
  if (!source.ok)
    return err(
      inOrder(
        source.error.map(({ line, column, path, message, hint }) => ({
          code: "yaml",
          line,
          column,
          path: pathText(path),
          rule: null,
          message,
          hint,
        })),
      ),
    );
  const { value } = source.value;
  if (value === null)
    return err([
      {
        code: "yaml",
        line: 1,
        column: 1,
        path: "",
        rule: null,
        message: "the file is empty",
        hint: "start with `apiVersion: picket/v1` and `kind: RuleSet`",
      },
    ]);
  const error = errorsOf(source.value);
  const parsed = RuleSet.safeParse(value);
  const errors = parsed.success
    ? []
    : schemaFindings(RuleSet, value, parsed.error).map(finding => error(finding));
  // Ids and what rules look for are checked even where the rest does not fit, so that one run shows everything.
  errors.push(...idErrors(value, coreIds, error), ...ruleErrors(value, error));
  if (!parsed.success || errors.length > 0) return err(inOrder(errors));
  return ok({ ruleSet: parsed.data, error });
}

type Finding = {
  code: RuleErrorCode;
  path: Path;
  message: string;
  hint?: string | null;
  key?: boolean;
  character?: number;
};

function errorsOf(source: YamlSource) {
  return ({ code, path, message, hint = null, key = false, character }: Finding): RuleError => ({
    code,
    ...(character !== undefined
      ? source.atCharacter(path, character)
      : key
        ? source.atKey(path)
        : source.at(path)),
    path: pathText(path),
    rule: ruleOf(source.value, path),
    message,
    hint,
  });
}

/** Id of the rule or shape that a path leads into. */
function ruleOf(value: unknown, path: Path): string | null {
  if (path[0] !== "spec" || (path[1] !== "rules" && path[1] !== "shapes") || path.length < 3) return null;
  const id = valueAt(value, [...path.slice(0, 3), "id"]);
  return typeof id === "string" ? id : null;
}

function idErrors(value: unknown, coreIds: CoreIds, error: (finding: Finding) => RuleError): RuleError[] {
  const errors: RuleError[] = [];
  const withCore = valueAt(value, ["spec", "core"]) !== false;
  const core = new Set(withCore ? coreIds : []);
  const firstAt = new Map<string, Path>();
  for (const list of ["shapes", "rules"] as const) {
    const entries = valueAt(value, ["spec", list]);
    if (!Array.isArray(entries)) continue;
    for (const [i, entry] of entries.entries()) {
      const id = valueAt(entry, ["id"]);
      if (typeof id !== "string") continue;
      const path = ["spec", list, i, "id"];
      const first = firstAt.get(id);
      if (first)
        errors.push(
          error({
            code: "duplicate-id",
            path,
            message: `the id "${id}" is already used at ${pathText(first.slice(0, 3))}`,
            hint: "give each rule and shape its own id",
          }),
        );
      else if (core.has(id))
        errors.push(
          error({
            code: "duplicate-id",
            path,
            message: `the id "${id}" belongs to a rule of the core pack`,
            hint: `choose another id; to change the core rule's action write it under spec.overrides`,
          }),
        );
      else firstAt.set(id, path);
    }
  }
  const overrides = valueAt(value, ["spec", "overrides"]);
  if (typeof overrides !== "object" || overrides === null || Array.isArray(overrides)) return errors;
  for (const id of Object.keys(overrides)) {
    if (core.has(id)) continue;
    const near = didYouMean(id, core);
    const hint = !withCore
      ? "spec.core is false, so there is no core rule to override"
      : firstAt.has(id)
        ? "overrides change core rules; change the action of your own rule where it stands"
        : near === null
          ? "`picket rules show core` lists the core rules"
          : `did you mean "${near}"?`;
    errors.push(
      error({
        code: "unknown-rule",
        path: ["spec", "overrides", id],
        key: true,
        message: `"${id}" is no rule of the core pack`,
        hint,
      }),
    );
  }
  return errors;
}

/** What a rule looks for is written in one way, and asks for nothing that the kernel could not keep. */
function ruleErrors(value: unknown, error: (finding: Finding) => RuleError): RuleError[] {
  const rules = valueAt(value, ["spec", "rules"]);
  if (!Array.isArray(rules)) return [];
  return rules.flatMap((rule: unknown, i): RuleError[] => {
    if (typeof rule !== "object" || rule === null || Array.isArray(rule)) return [];
    const wrong = (key: string | null, message: string, hint: string) =>
      error({ code: "schema", path: ["spec", "rules", i, ...(key === null ? [] : [key])], message, hint });
    const given = RULE_SOURCES.filter(source => Object.hasOwn(rule, source));
    const { on, action, dialects, match } = rule as Record<string, unknown>;
    const found: RuleError[] = [];
    if (given.length === 0)
      found.push(
        wrong(null, "says nothing to look for", "write one of tokens, pattern or regex (docs/rule-sets.md)"),
      );
    if (given.length > 1)
      found.push(
        wrong(
          given[1]!,
          `a rule has one of ${RULE_SOURCES.join(", ")}, and this one has ${given.join(" and ")}`,
          "make it two rules",
        ),
      );
    if (on !== undefined && !given.includes("regex"))
      found.push(wrong("on", '"on" belongs to a regex', "tokens and patterns look at the statement's shape"));
    if ((on === "literals" || on === "comments") && action === "block")
      found.push(
        wrong(
          "action",
          `a shape holds no ${on}, so the kernel could not tell the next such statement`,
          "write alert",
        ),
      );
    if (dialects !== undefined && valueAt(match, ["protocol"]) !== undefined)
      found.push(wrong("match", "dialects and match.protocol say the same", "keep one of them"));
    return found;
  });
}
