/** One thing wrong in a rule file: where it stands, what is wrong and what was probably meant. */
import type { Path, Position } from "./yaml-source.ts";

export type RuleErrorCode =
  | "yaml"
  | "schema"
  | "unknown-key"
  | "missing"
  | "duplicate-id"
  | "unknown-rule"
  | "pattern"
  | "regex"
  | "budget"
  | "shape"
  | "conflict"
  | "test";

export type RuleError = Position & {
  code: RuleErrorCode;
  /** As an author writes it: `spec.rules[2].action`; empty for the file as a whole. */
  path: string;
  /** Id of the rule or shape that it is in. */
  rule: string | null;
  message: string;
  /** What to do, or what was probably meant. */
  hint: string | null;
};

/** More than these are not shown: one slip of indentation can make hundreds. */
export const RULE_ERRORS_MAX = 100;

export function pathText(path: Path): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`),
    "",
  );
}

/** Shortened and quoted: a rule's author sees what was read, the log does not see a whole file. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 56)}…"` : text;
}

/** In the order of the file, each place and message once. */
export function inOrder(errors: readonly RuleError[]): RuleError[] {
  const seen = new Set<string>();
  return errors
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
    .filter(({ line, column, message }) => {
      const key = `${line}:${column}:${message}`;
      return seen.has(key) ? false : seen.add(key);
    })
    .slice(0, RULE_ERRORS_MAX);
}

/** `file:line:column: where: what` as compilers write it; the hint on a line of its own. */
export function formatRuleErrors(file: string, errors: readonly RuleError[]): string {
  return errors
    .map(({ line, column, path, rule, message, hint }) => {
      const where = [path, rule === null ? "" : `(${rule})`].filter(Boolean).join(" ");
      return `${file}:${line}:${column}: ${where ? `${where}: ` : ""}${message}${hint ? `\n    ${hint}` : ""}`;
    })
    .join("\n");
}
