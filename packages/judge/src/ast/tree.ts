/** What the signals look at: both parsers' trees in one small form, without texts of literals. */
export type Expression =
  | { kind: "constant" }
  | { kind: "column"; name: string }
  | { kind: "parameter" }
  | { kind: "logic"; operator: "and" | "or" | "not" | "xor"; arguments: Expression[] }
  /** `absent`: it is IS NULL. */
  | { kind: "comparison"; equal: boolean; absent?: true; arguments: Expression[] }
  | { kind: "call"; name: string; arguments: Expression[] }
  | { kind: "query"; query: Query /** EXISTS, IN, ANY: more than one row is asked for. */; many: boolean }
  /** Arithmetic, casts, CASE, lists. `decidesBy`: the conditions of a CASE or an IF, which are arguments, too. */
  | { kind: "other"; arguments: Expression[]; decidesBy?: Expression[] };

export type Query = {
  kind: "select" | "insert" | "update" | "delete" | "set-operation" | "call" | "other";
  /** Of a set operation; `union`: it is no INTERSECT and no EXCEPT. */
  parts: Query[];
  union: boolean;
  columns: Expression[];
  /** Null where a star or something unknown stands among them. */
  width: number | null;
  tables: string[];
  /** WHERE, HAVING, ON. */
  conditions: Expression[];
  /** ORDER BY, GROUP BY, LIMIT, OFFSET. */
  lists: Expression[];
  /** VALUES, SET, and what a procedure or a function in a table's place is given. */
  written: Expression[];
  /** Which column takes each of them, where it is said. */
  writtenTo: (string | undefined)[];
  /** Derived tables and common table expressions. */
  nested: Query[];
  /** Of the common table expressions. */
  names: string[];
};

export const emptyQuery = (kind: Query["kind"]): Query => ({
  kind,
  parts: [],
  union: false,
  columns: [],
  width: null,
  tables: [],
  conditions: [],
  lists: [],
  written: [],
  writtenTo: [],
  nested: [],
  names: [],
});

/** Every expression below, without going into queries; `parent` is what it stands in. */
export function walk(
  expression: Expression,
  visit: (expression: Expression, parent: Expression | null) => void,
  parent: Expression | null = null,
): void {
  visit(expression, parent);
  if ("arguments" in expression)
    for (const argument of expression.arguments) walk(argument, visit, expression);
}

/** The parsers' JSON: anything. */
export type Json = { readonly [key: string]: unknown };

export const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

export const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The only key of a node like {"SelectStmt": {…}}, and its value. */
export function tagged(value: unknown): [tag: string, body: unknown] {
  if (typeof value === "string") return [value, {}];
  if (!isObject(value)) return ["", {}];
  const [tag = ""] = Object.keys(value);
  return [tag, value[tag]];
}
