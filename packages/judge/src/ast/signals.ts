/**
 * What a statement's tree says that its tokens do not: conditions that are constant however they are written,
 * conditions where a value, a column or a number belongs, subqueries that have nothing to do with the statement,
 * UNIONs whose halves do not fit. Each is a rule of its own (`ast-…`), and pure.
 */
import { calculatesKey, comparesStrangers, isAnyRow, writesStranger } from "./scalars.ts";
import { type Expression, type Query, walk } from "./tree.ts";

export type AstRule =
  | "ast-constant-condition"
  | "ast-constant-comparison"
  | "ast-same-column"
  | "ast-constant-decision"
  | "ast-condition-in-list"
  | "ast-condition-as-value"
  | "ast-odd-subquery"
  | "ast-list-subquery"
  | "ast-foreign-question"
  | "ast-foreign-value"
  | "ast-calculated-key"
  | "ast-union-width"
  | "ast-union-constants"
  | "ast-union-strangers"
  | "ast-catalogue"
  | "ast-server-function";

/** Another value next time, or for other rows. */
const volatile = new Set(
  "now current_date current_timestamp curdate curtime random rand nextval current_time localtime localtimestamp clock_timestamp sysdate utc_timestamp unix_timestamp found_rows last_insert_id row_count pg_try_advisory_lock get_lock count rownum".split(
    " ",
  ),
);
const serverFunctions = new Set(
  `version session_user system_user database schema current_database current_schema current_user current_catalog
  current_role inet_server_addr inet_server_port pg_ls_dir pg_read_file pg_read_binary_file pg_stat_file lo_import
  lo_export lo_get load_file sleep benchmark pg_sleep pg_sleep_for extractvalue updatexml name_const
  database_to_xml query_to_xml table_to_xml dblink`.split(/\s+/),
);
const catalogue = /^(?:information_schema|pg_catalog|mysql|performance_schema|sys)\.|^pg_/;

/** What honest statements have, too: a signal, and no proof. */
export const weakAstRules: ReadonlySet<string> = new Set<AstRule>([
  "ast-same-column",
  "ast-catalogue",
  "ast-odd-subquery",
]);

export function astSignals(statements: readonly Query[]): AstRule[] {
  const found = new Findings(statements.flatMap(namesIn));
  for (const statement of statements) inspect(statement, found, "outer");
  return [...found];
}

class Findings extends Set<AstRule> {
  /** The statement's own queries that are read like tables. */
  readonly names: ReadonlySet<string>;

  constructor(names: readonly string[]) {
    super();
    this.names = new Set(names);
  }
}

const namesIn = (query: Query): string[] => [
  ...query.names,
  ...[...query.parts, ...query.nested].flatMap(namesIn),
];

/** The tables of a query, and of those that stand for a value in it. */
function tablesOf(query: Query): string[] {
  const tables = [...query.tables, ...query.nested.flatMap(tablesOf)];
  for (const column of query.columns)
    walk(column, inner => {
      if (inner.kind === "query") tables.push(...tablesOf(inner.query));
    });
  return tables;
}

/** `inner`: it stands for a value; `nested`: for a table. */
type Place = "outer" | "inner" | "nested";

function inspect(query: Query, found: Findings, place: Place): void {
  const ofApplication = query.tables.length > 0 && !query.tables.some(table => catalogue.test(table));
  const derived = query.tables.length > 0 ? [] : query.nested.flatMap(tablesOf);
  const readsApplication =
    ofApplication || (derived.length > 0 && !derived.some(table => catalogue.test(table)));
  // Who reads the catalogue asks about the server, too.
  const branches = readsApplication ? query.columns.flatMap(branchesOf) : [];
  if (readsApplication || query.kind !== "select") {
    for (const condition of query.conditions) inspectCondition(condition, found, true);
    for (const condition of branches) inspectCondition(condition, found, false);
  }
  for (const item of query.lists) {
    if (isOddInList(item)) found.add("ast-condition-in-list");
    if (ofApplication)
      walk(item, inner => {
        if (inner.kind !== "query" || inner.many || !standsAlone(inner.query)) return;
        // A share of the same table, and nothing at all, are other people's habits.
        if (tablesOf(inner.query).some(table => !query.tables.includes(table)))
          found.add("ast-list-subquery");
      });
  }
  if (query.kind !== "other")
    for (const value of query.written) if (isWrittenCondition(value)) found.add("ast-condition-as-value");
  if (query.kind === "set-operation") inspectParts(query, found, place);
  for (const [i, value] of query.written.entries()) {
    const column = query.writtenTo[i];
    if (column !== undefined && writesStranger(column, value, query)) found.add("ast-foreign-value");
  }
  if (query.kind === "insert")
    for (const column of query.nested.flatMap(({ columns }) => columns))
      if (isWrittenCondition(column)) found.add("ast-condition-as-value");
  for (const expression of [...query.conditions, ...branches, ...query.lists, ...query.written])
    walk(expression, (inner, parent) => {
      if (inner.kind === "call" && serverFunctions.has(inner.name) && readsApplication)
        found.add("ast-server-function");
      if (inner.kind === "query") inspectSubquery(inner, query, found);
      if (readsApplication || query.kind !== "select") {
        if (comparesStrangers(inner, query) || isAnyRow(inner, query)) found.add("ast-foreign-value");
        if (calculatesKey(inner)) found.add("ast-calculated-key");
      }
      if (parent && isConditionInValue(inner, parent)) found.add("ast-condition-as-value");
    });
  for (const column of query.columns)
    walk(column, inner => {
      if (inner.kind === "query") inspect(inner.query, found, "inner");
    });
  // A subquery that reads nothing belongs to a statement that does.
  if (readsApplication || query.kind !== "select" || (place === "inner" && query.tables.length === 0))
    for (const expression of [...query.conditions, ...query.lists, ...query.written, ...query.columns])
      walk(expression, inner => {
        if (inner.kind === "other" && inner.decidesBy?.some(isDecided) && choosesConstant(inner, query))
          found.add("ast-constant-decision");
        if (calculatesOutcome(inner)) found.add("ast-condition-as-value");
      });
  for (const inner of query.nested) inspect(inner, found, "nested");
}

/** What the branches of a CASE among the columns decide by. */
function branchesOf(column: Expression): Expression[] {
  const found: Expression[] = [];
  walk(column, (inner, parent) => {
    if (inner.kind === "logic" && parent?.kind === "other") found.push(inner);
  });
  return found;
}

function inspectCondition(condition: Expression, found: Findings, only: boolean): void {
  switch (condition.kind) {
    case "logic":
      for (const [i, argument] of condition.arguments.entries()) {
        // What comes first in a condition is the application's: builders begin with 1=1 AND, and with 1=0 OR.
        const habit = i === 0 && only;
        // Between ANDs, TRUE and 1=0 are habits too; a function that is called for nothing is none.
        const telling =
          condition.operator === "and"
            ? calls(argument) ||
              comparesMade(argument) ||
              (argument.kind === "logic" && argument.operator === "not")
            : condition.operator !== "not" && decides(argument);
        // `(? IS NULL OR a = ?)`: a filter that is not set.
        const unset = i === 0 && condition.operator === "or" && "absent" in argument;
        if (telling && !habit && !unset && isConstant(argument)) found.add("ast-constant-condition");
        if (argument.kind !== "logic" && isForeignQuestion(argument, found.names))
          found.add("ast-foreign-question");
        // `AND (false OR a = ?)`: what begins an alternative within an AND is a builder's, too.
        const filter =
          condition.operator === "and" &&
          argument.kind === "logic" &&
          argument.operator === "or" &&
          argument.arguments.slice(0, 1).every(isPlain);
        inspectCondition(argument, found, habit || filter);
      }
      return;
    case "comparison": {
      const [left, right] = condition.arguments;
      if (condition.equal && left?.kind === "column" && right?.kind === "column" && left.name === right.name)
        found.add("ast-same-column");
      // A comparison of constants alone is a query builder's 1=1.
      if (
        !isConstant(condition) &&
        condition.arguments.some(isDoubtful) &&
        !condition.arguments.every(isConstant)
      )
        found.add("ast-constant-comparison");
      for (const argument of condition.arguments)
        if (argument.kind === "logic") inspectCondition(argument, found, false);
      return;
    }
    default:
      return;
  }
}

/**
 * A condition that looks at no column of the rows that it decides about: it asks one question for all of them, and
 * the answer comes from somewhere else.
 */
function isForeignQuestion(condition: Expression, own: ReadonlySet<string>): boolean {
  let [asks, looks] = [false, false];
  walk(condition, inner => {
    if (inner.kind === "column" || inner.kind === "parameter") looks = true;
    // Whether there is any row elsewhere is asked by honest code, too: a setting, a lock.
    if (inner.kind === "query")
      if (inner.query.tables.some(table => own.has(table))) looks = true;
      else if (inner.many ? readsNothing(inner.query) : standsAlone(inner.query)) asks = true;
      else looks = true;
  });
  return asks && !looks;
}

const readsNothing = ({ kind, tables, nested, conditions, columns }: Query): boolean =>
  kind === "select" &&
  tables.length + nested.length + conditions.length === 0 &&
  columns.length > 0 &&
  columns.every(isConstant);

/** No column is another table's, or compared with a column, so it is not about the row of the statement around it. */
function standsAlone(query: Query): boolean {
  if (query.kind !== "select") return query.kind === "set-operation" && query.parts.every(standsAlone);
  let alone = true;
  for (const expression of [...query.columns, ...query.conditions, ...query.lists])
    walk(expression, inner => {
      if (inner.kind === "column" && inner.name.includes(".")) alone = false;
      if (inner.kind === "query" && !standsAlone(inner.query)) alone = false;
      if (inner.kind === "comparison" && inner.arguments.filter(({ kind }) => kind === "column").length > 1)
        alone = false;
    });
  return alone && query.nested.every(standsAlone);
}

/** A filter and a setting choose a column: `CASE WHEN cardinality('{7}') > 0 THEN id = 7 ELSE name = 'x' END`. */
const choosesConstant = ({ arguments: all, decidesBy = [] }: Decision, { lists }: Query): boolean =>
  all.slice(decidesBy.length).every(branch => !holds(branch, ({ kind }) => kind === "column")) ||
  lists.some(item => holds(item, inner => "decidesBy" in inner && inner.decidesBy === decidesBy));

type Decision = Extract<Expression, { kind: "other" }>;

/** Known before any row is read; of two literals alone, `? = ?`, client code may have left the choice to the server. */
const isDecided = (condition: Expression): boolean =>
  (isConstant(condition) && (calls(condition) || holds(condition, isMade))) || comparesItself(condition);

/** Sums, rows and lists, and no cast. */
const isMade = (expression: Expression): boolean =>
  expression.kind === "other" && expression.arguments.length > 1;

/** TRUE, and one literal beside another: nothing is called, cast or calculated. */
const isPlain = (condition: Expression): boolean =>
  condition.kind === "constant" ||
  (condition.kind === "comparison" && condition.arguments.every(({ kind }) => kind === "constant"));

const comparesItself = (condition: Expression): boolean =>
  condition.kind === "comparison" &&
  condition.arguments.length > 1 &&
  condition.arguments.every(
    (side, _, [first]) => side.kind === "column" && first?.kind === "column" && side.name === first.name,
  );

/** `7 - (NOT a <> a)`: calculated with an outcome that is known before any row is read. */
const calculatesOutcome = (expression: Expression): boolean =>
  expression.kind === "other" &&
  !expression.decidesBy &&
  expression.arguments.length === 2 &&
  expression.arguments.some(({ kind }) => kind === "constant") &&
  expression.arguments.some(
    side =>
      (side.kind === "comparison" || side.kind === "logic") &&
      side.arguments.length > 0 &&
      (isConstant(side) ||
        comparesItself(side) ||
        (side.kind === "logic" && side.arguments.every(comparesItself))),
  );

const isDoubtful = (side: Expression): boolean =>
  (side.kind === "other" &&
    !side.decidesBy &&
    side.arguments.some(
      inner => inner.kind === "comparison" && inner.arguments.length > 1 && isConstant(inner),
    )) ||
  (side.kind === "comparison" && side.arguments.length > 1 && side.arguments.some(isConstant)) ||
  (side.kind === "logic" && side.operator !== "not" && side.arguments.some(isConstant));

/** No column, no parameter, no clock: the same for every row and every time. */
function isConstant(expression: Expression): boolean {
  let constant = true;
  let literal = false;
  walk(expression, inner => {
    if (inner.kind === "column" || inner.kind === "parameter" || inner.kind === "query") constant = false;
    else if (inner.kind === "call" && volatile.has(inner.name)) constant = false;
    else if (inner.kind === "constant" || inner.kind === "call") literal = true;
  });
  return constant && literal;
}

/** A condition over constants; conditions over columns are honest ways to sort. */
function isOddInList(expression: Expression): boolean {
  return (
    (expression.kind === "call" && isConstant(expression)) ||
    (expression.kind === "query" &&
      readsNothing(expression.query) &&
      expression.query.columns.some(({ kind }) => kind !== "constant")) ||
    (expression.kind === "logic" && expression.operator !== "not" && expression.arguments.some(isConstant)) ||
    (expression.kind === "comparison" &&
      expression.arguments.length > 1 &&
      expression.arguments.every(isConstant)) ||
    (expression.kind === "other" &&
      expression.arguments.length > 0 &&
      expression.arguments.some(argument => argument.kind === "logic" && argument.arguments.some(isConstant)))
  );
}

const isWrittenCondition = (value: Expression): boolean =>
  // Arithmetic is true or false to nobody who writes it honestly.
  (value.kind === "logic" &&
    value.operator !== "not" &&
    value.arguments.some(
      ({ kind, ...rest }) => kind === "other" && "arguments" in rest && rest.arguments.some(isConstant),
    )) ||
  (value.kind === "logic" && value.operator !== "not" && value.arguments.some(isConstant)) ||
  (value.kind === "comparison" && value.arguments.length > 0 && value.arguments.every(isConstant));

/** A text that is joined by AND or OR to a condition, where a function or a list has a value: it ended there. */
const isConditionInValue = (inner: Expression, parent: Expression): boolean =>
  inner.kind === "logic" &&
  (inner.operator === "and" || inner.operator === "or") &&
  // Counts where a condition holds: `count(a = 1 OR NULL)`.
  ((parent.kind === "call" && parent.name !== "count") || parent.kind === "other") &&
  inner.arguments.some(({ kind }) => kind === "constant");

function inspectSubquery(
  { query, many }: Extract<Expression, { kind: "query" }>,
  outer: Query,
  found: Findings,
): void {
  if (query.tables.some(table => catalogue.test(table)) && !outer.tables.some(table => catalogue.test(table)))
    found.add("ast-catalogue");
  const plain = query.kind === "select" && query.conditions.length === 0 && query.nested.length === 0;
  const constants = query.columns.length > 0 && query.columns.every(isConstant);
  if (!many && plain && constants && outer.tables.length > 0) found.add("ast-odd-subquery");
  inspect(query, found, "inner");
}

function inspectParts({ parts, union }: Query, found: Findings, place: Place): void {
  const [left, right] = parts;
  if (!left || !right) return;
  for (const part of parts) inspect(part, found, place);
  const [wide, narrow] = [widthOf(left), widthOf(right)];
  if (union && wide !== null && narrow !== null && wide !== narrow) found.add("ast-union-width");
  if (
    left.kind === "select" &&
    left.conditions.length > 0 &&
    right.columns.length === 0 &&
    right.written.length > 0 &&
    right.written.every(isConstant)
  )
    found.add("ast-union-constants");
  // Of a chain, the half before this one.
  const before = lastOf(left);
  if ((union || right.conditions.length === 0) && areStrangers(before, right))
    found.add("ast-union-strangers");
  if (left.kind !== "select" || right.kind !== "select" || left.tables.length === 0) return;
  const constants = right.columns.filter(isConstant).length;
  const leftConstants = left.columns.filter(isConstant).length;
  if (
    left.conditions.length > 0 &&
    right.columns.length > 0 &&
    constants === right.columns.length &&
    leftConstants === 0
  )
    found.add("ast-union-constants");
  if (right.tables.some(table => catalogue.test(table)) && !left.tables.some(table => catalogue.test(table)))
    found.add("ast-catalogue");
}

/** Rows of one table by a condition, and rows of another: no name of a column is in both. */
function areStrangers(left: Query, right: Query): boolean {
  if (left.kind !== "select" || right.kind !== "select" || left.tables.length === 0) return false;
  if (left.conditions.length === 0 || left.width === null || right.nested.length > 0) return false;
  if (right.tables.length !== 1 || left.tables.includes(right.tables[0]!)) return false;
  // A count or a sum is no column, and rows of another table are none either.
  const known = left.columns.filter(column => !isAggregate(column)).map(nameOf);
  if (left.columns.length === 0 || known.includes(null)) return false;
  // `*` has the width of the other half by luck alone.
  if (right.width === null) return right.conditions.length === 0;
  const others = right.columns.filter(({ kind }) => kind !== "constant").map(nameOf);
  return others.length > 0 && others.every(name => name !== null && !known.includes(name));
}

const isAggregate = (column: Expression): boolean =>
  column.kind === "call" && /^(?:count|sum|avg|min|max)$/.test(column.name);

/** Of a column, also of one that is cast. */
function nameOf(column: Expression): string | null {
  if (column.kind === "other" && column.arguments.length === 1) return nameOf(column.arguments[0]!);
  return column.kind === "column" ? (column.name.split(".").at(-1) ?? "").toLowerCase() : null;
}

const lastOf = (query: Query): Query =>
  query.kind === "set-operation" && query.parts.length > 0 ? lastOf(query.parts.at(-1)!) : query;

const widthOf = (query: Query): number | null =>
  query.kind === "set-operation" ? (query.parts[0] ? widthOf(query.parts[0]) : null) : query.width;

/** Rows, lists, sums or casts of constants with one another: a builder's habit is `1 = 1`. */
const comparesMade = (expression: Expression): boolean =>
  expression.kind === "comparison" &&
  expression.arguments.length > 1 &&
  expression.arguments.some(({ kind }) => kind === "other");

/** Something is compared or called; an array beside OR is a mistake and no condition. */
const decides = (expression: Expression): boolean =>
  expression.kind !== "other" || calls(expression) || holds(expression, ({ kind }) => kind === "comparison");

/** A function; CASE and IF are some. */
const calls = (expression: Expression): boolean =>
  holds(expression, inner => inner.kind === "call" || "decidesBy" in inner);

function holds(expression: Expression, is: (expression: Expression) => boolean): boolean {
  let held = false;
  walk(expression, inner => {
    held ||= is(inner);
  });
  return held;
}
