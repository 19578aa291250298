/**
 * Subqueries that stand for one value, and what they are compared with. Honest code looks up a key by a name
 * (`role_id = (SELECT id FROM roles WHERE name = ?)`), a share or a bound of the same thing, or a setting. An
 * injection puts a question of its own into a value's place: what it fetches has nothing to do with the column that
 * it is compared with, is any row at all, or counts a table beside a column.
 */
import { type Expression, type Query, walk } from "./tree.ts";

type Subquery = Extract<Expression, { kind: "query" }>;

/** Whether a comparison asks for something that its other side is no instance of. */
export function comparesStrangers(comparison: Expression, outer: Query): boolean {
  if (comparison.kind !== "comparison") return false;
  const compared = comparison.arguments.filter(({ kind }) => kind !== "query").flatMap(columnsOf);
  if (compared.length === 0) return false;
  return comparison.arguments.some(
    side =>
      isForeign(side, outer) &&
      (isStrange(side.query, compared, comparison.equal) ||
        (comparison.arguments.some(({ kind }) => kind === "column") && countsAll(side.query))),
  );
}

/** The same of what is written to a column. Counts and sums are kept in columns; and a table may hold just one value. */
export const writesStranger = (column: string, value: Expression, outer: Query): boolean =>
  isForeign(value, outer) &&
  (value.query.conditions.length > 0 || value.query.columns.some(({ kind }) => kind === "call")) &&
  isStrange(value.query, [column.split(".").at(-1) ?? ""], true);

/** The first row that comes, of another table: nobody knows which one it is. */
export const isAnyRow = (expression: Expression, outer: Query): boolean =>
  isForeign(expression, outer) &&
  expression.query.conditions.length === 0 &&
  expression.query.columns.length === 1 &&
  expression.query.columns.flatMap(columnsOf).length > 0 &&
  expression.query.lists.length > 0 &&
  expression.query.lists.every(({ kind }) => kind === "constant");

/** `id = 8 - 1`: a key is looked up, and nobody calculates one from constants. */
export const calculatesKey = (comparison: Expression): boolean => {
  if (comparison.kind !== "comparison" || !comparison.equal) return false;
  const [left, right] = comparison.arguments;
  return (
    left?.kind === "column" &&
    /id$/i.test(left.name) &&
    right?.kind === "other" &&
    right.arguments.length === 2 &&
    right.arguments.every(({ kind }) => kind === "constant")
  );
};

/** It reads another table, and neither names the rows of the query around it nor compares columns. */
function isForeign(expression: Expression, outer: Query): expression is Subquery {
  if (expression.kind !== "query" || expression.many) return false;
  const { query } = expression;
  if (query.kind !== "select" || query.nested.length > 0) return false;
  if (!query.tables.some(table => !outer.tables.includes(table))) return false;
  let foreign = true;
  for (const inner of [...query.columns, ...query.conditions, ...query.lists])
    walk(inner, one => {
      if (one.kind === "query" || (one.kind === "column" && one.name.includes("."))) foreign = false;
      if (one.kind === "comparison" && one.arguments.filter(({ kind }) => kind === "column").length > 1)
        foreign = false;
    });
  return foreign;
}

function isStrange(query: Query, compared: readonly string[], equal: boolean): boolean {
  const fetched = query.columns.flatMap(columnsOf);
  // The least or the mean of something else may well be a bound.
  if (!equal && query.columns.some(({ kind }) => kind !== "column")) return false;
  return (
    query.width !== null &&
    fetched.length > 0 &&
    fetched.every(
      column =>
        !isKey(column) &&
        !bounds.test(column) &&
        compared.every(
          other => !areRelated(column, other) && !query.tables.some(table => areRelated(table, other)),
        ),
    )
  );
}

const countsAll = ({ columns, conditions }: Query): boolean =>
  conditions.length === 0 &&
  columns.length === 1 &&
  columns[0]?.kind === "call" &&
  columns[0].name === "count";

/** What settings and reports call a value that anything may be compared with. */
const bounds =
  /val|setting|data|content|limit|thresh|min|max|rate|amount|total|price|cost|avg|average|mean|count|num|sum|score|level|rank|size|date|time|stamp|year|month|day|_at$|_on$|from|until|since|start|end|first|last/i;

/** What rows are looked up by; `api_key` is none. */
const isKey = (name: string): boolean =>
  /id$|(?:^|_)(?:code|no|nr|pk|fk|slug|type)$|^(?:key|name)$/i.test(name);

function columnsOf(expression: Expression): string[] {
  const names: string[] = [];
  walk(expression, inner => {
    if (inner.kind === "column") names.push(inner.name.split(".").at(-1) ?? "");
  });
  return names;
}

/** One word in both: `partner_id` and `partners`, `country` and `countries`. */
function areRelated(one: string, other: string): boolean {
  const others = wordsOf(other);
  return wordsOf(one).some(word =>
    others.some(second => word === second || (word.length > 3 && word.slice(0, 4) === second.slice(0, 4))),
  );
}

const wordsOf = (name: string): string[] =>
  name
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z\u0080-\uffff]+/)
    .filter(word => word !== "");
