/**
 * Says the schema's findings in the words of a rule's author: what stands there, what may stand there, and
 * which known word is near. The schema itself stays in @picket/shared/rule-set; known keys and choices are
 * read from it, so that they cannot drift apart.
 */
import { z } from "zod";
import { didYouMean } from "./did-you-mean.ts";
import { quoted, RULE_ERRORS_MAX, type RuleErrorCode } from "./rule-error.ts";
import type { Path } from "./yaml-source.ts";

export type SchemaFinding = {
  code: RuleErrorCode;
  path: Path;
  /** The key is wrong, not its value. */
  key: boolean;
  message: string;
  hint: string | null;
};

export function schemaFindings(schema: z.ZodType, value: unknown, error: z.ZodError): SchemaFinding[] {
  return error.issues.flatMap(issue => findingsOf(schema, value, issue));
}

function findingsOf(schema: z.ZodType, root: unknown, issue: z.core.$ZodIssue): SchemaFinding[] {
  const path = issue.path as Path;
  const found = valueAt(root, path);
  const at = (message: string, hint: string | null = null): SchemaFinding[] => [
    { code: "schema", path, key: false, message, hint },
  ];
  switch (issue.code) {
    case "invalid_type":
      if (found === undefined)
        return [
          {
            code: "missing",
            path,
            key: false,
            message: `"${path.at(-1) ?? "the rule set"}" is missing`,
            hint: `it must be ${kindWord(issue.expected)}`,
          },
        ];
      return at(`must be ${kindWord(issue.expected)}, but is ${kindOf(found)}`);
    case "invalid_value": {
      const choices = issue.values.map(String);
      if (found === undefined)
        return [
          {
            code: "missing",
            path,
            key: false,
            message: `"${path.at(-1)}" is missing`,
            hint: choices.length === 1 ? `write "${choices[0]}"` : `one of ${choices.join(", ")}`,
          },
        ];
      const near = typeof found === "string" ? didYouMean(found, choices) : null;
      const allowed = choices.length === 1 ? `"${choices[0]}"` : `one of ${choices.join(", ")}`;
      return at(`${quoted(found)} is not ${allowed}`, near === null ? null : `did you mean "${near}"?`);
    }
    case "unrecognized_keys": {
      const known = keysAt(schema, path);
      return issue.keys.slice(0, RULE_ERRORS_MAX).map(key => {
        const near = didYouMean(key, known);
        return {
          code: "unknown-key",
          path: [...path, key],
          key: true,
          message: `"${key}" is not known here`,
          hint: near === null ? `known: ${known.join(", ")}` : `did you mean "${near}"?`,
        };
      });
    }
    case "invalid_key":
      return [
        {
          code: "schema",
          path,
          key: true,
          message: `the key ${quoted(path.at(-1))} does not fit: ${issue.issues[0]?.message ?? "not valid"}`,
          hint: null,
        },
      ];
    case "invalid_union": {
      // A pattern or a list of patterns: the branch that fits what was written tells more.
      if (found === undefined)
        return [
          {
            code: "missing",
            path,
            key: false,
            message: `"${path.at(-1)}" is missing`,
            hint: "it must be a text or a list of texts",
          },
        ];
      const branch = issue.errors.find(issues => issues.every(inner => inner.path.length > 0));
      if (!branch) return at(`must be a text or a list of texts, but is ${kindOf(found)}`);
      return branch.flatMap(inner =>
        findingsOf(schema, root, { ...inner, path: [...path, ...inner.path] } as z.core.$ZodIssue),
      );
    }
    case "invalid_format":
      return at(`${quoted(found)} does not fit: ${issue.message}`);
    case "too_small":
    case "too_big":
      return at(sizeMessage(issue, found));
    case "not_multiple_of":
    case "invalid_element":
    case "custom":
      return at(issue.message);
  }
}

function sizeMessage(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, found: unknown): string {
  const bound = issue.code === "too_small" ? `at least ${issue.minimum}` : `at most ${issue.maximum}`;
  if (typeof found === "string")
    return found === "" ? "must not be empty" : `has ${found.length} characters; ${bound} are accepted`;
  if (Array.isArray(found))
    return found.length === 0 ? "must not be empty" : `has ${found.length} entries; ${bound} are accepted`;
  return `${quoted(found)} is out of range: ${bound}`;
}

const kindWords: Record<string, string> = {
  string: "a text",
  int: "a whole number",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a map of keys and values",
  record: "a map of keys and values",
};

const kindWord = (expected: string): string => kindWords[expected] ?? expected;

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "string":
      return `the text ${quoted(value)}`;
    case "number":
    case "bigint":
      return `the number ${value}`;
    case "boolean":
      return `${value}`;
    default:
      return "a map of keys and values";
  }
}

export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

/** The keys that the schema knows at a path, through defaults, lists, records and unions. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  const inner = unwrap(schema);
  const [step, ...rest] = path;
  if (inner instanceof z.ZodObject) {
    if (step === undefined) return Object.keys(inner.shape);
    const next = inner.shape[step] as z.ZodType | undefined;
    return next ? keysAt(next, rest) : [];
  }
  if (step === undefined) return [];
  if (inner instanceof z.ZodArray) return keysAt(inner.element as z.ZodType, rest);
  if (inner instanceof z.ZodRecord) return keysAt(inner.valueType as z.ZodType, rest);
  return [];
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return unwrap(schema.unwrap() as z.ZodType);
  return schema;
}
