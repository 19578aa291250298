/** The tree of datafusion-sqlparser-rs, as its serde writes it, in the form of tree.ts. */
import { type Expression, emptyQuery, isObject, itemsOf, type Json, type Query, tagged } from "./tree.ts";

export const fromMysql = (tree: unknown): Query[] => itemsOf(tree).map(statement);

function statement(node: unknown): Query {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  switch (tag) {
    case "Query":
      return query(body);
    case "Insert": {
      const source = isObject(body.source) ? query(body.source) : emptyQuery("other");
      const columns = itemsOf(body.columns).map(tableName);
      const set = [...itemsOf(body.assignments), ...itemsOf(field(body.on, "DuplicateKeyUpdate"))];
      return {
        ...emptyQuery("insert"),
        tables: [tableName(field(body.table, "TableName"))],
        written: [...source.written, ...set.map(assigned)],
        writtenTo: [...source.written.map((_, i) => columns[i % columns.length]), ...set.map(assignedTo)],
        nested: source.columns.length > 0 || source.parts.length > 0 ? [source] : [],
      };
    }
    case "Update":
      return {
        ...emptyQuery("update"),
        tables: tablesIn([body.table]),
        written: itemsOf(body.assignments).map(assigned),
        writtenTo: itemsOf(body.assignments).map(assignedTo),
        conditions: optional(body.selection),
      };
    case "Delete":
      return {
        ...emptyQuery("delete"),
        tables: tablesIn(itemsOf(tagged(body.from)[1])),
        conditions: optional(body.selection),
      };
    case "Call":
      return { ...emptyQuery("call"), written: callArguments(body.args) };
    default:
      return emptyQuery("other");
  }
}

const assigned = (node: unknown): Expression => expression(isObject(node) ? node.value : null);

const assignedTo = (node: unknown): string => tableName(field(field(node, "target"), "ColumnName"));

function query(body: Json): Query {
  const result = setExpression(body.body);
  const order = isObject(body.order_by) ? field(body.order_by.kind, "Expressions") : [];
  const [, limit] = tagged(body.limit_clause);
  const ctes = itemsOf(isObject(body.with) ? body.with.cte_tables : []);
  return {
    ...result,
    lists: [
      ...result.lists,
      ...itemsOf(order).map(item => expression(isObject(item) ? item.expr : null)),
      ...(isObject(limit) ? [limit.limit, offsetOf(limit.offset)].flatMap(optional) : []),
    ],
    nested: [
      ...result.nested,
      ...ctes.flatMap(cte => (isObject(cte) && isObject(cte.query) ? [query(cte.query)] : [])),
    ],
    names: ctes.map(cte => nameOf(field(field(cte, "alias"), "name")).toLowerCase()),
  };
}

const offsetOf = (value: unknown): unknown =>
  isObject(value) && isObject(value.value) && !("span" in value) ? value.value : value;

function setExpression(node: unknown): Query {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  switch (tag) {
    case "Select":
      return select(body);
    case "Query":
      return query(body);
    case "SetOperation":
      return {
        ...emptyQuery("set-operation"),
        parts: [body.left, body.right].map(setExpression),
        union: body.op === "Union",
      };
    case "Values":
      return {
        ...emptyQuery("other"),
        written: itemsOf(body.rows).flatMap(row =>
          itemsOf(isObject(row) && "content" in row ? row.content : row).map(expression),
        ),
      };
    default:
      return emptyQuery("other");
  }
}

function select(body: Json): Query {
  const into = { tables: [] as string[], nested: [] as Query[], conditions: [] as Expression[] };
  for (const item of itemsOf(body.from)) if (isObject(item)) source(item, into);
  const items = itemsOf(body.projection);
  const columns = items.map(item => {
    const [tag, value] = tagged(item);
    return expression(tag === "ExprWithAlias" && isObject(value) ? value.expr : value);
  });
  const star = items.some(item => /Wildcard/.test(tagged(item)[0]));
  const group = field(body.group_by, "Expressions");
  return {
    ...emptyQuery("select"),
    columns,
    width: star ? null : columns.length,
    tables: into.tables,
    nested: into.nested,
    conditions: [...into.conditions, ...optional(body.selection), ...optional(body.having)],
    lists: itemsOf(itemsOf(group)[0]).map(expression),
  };
}

type Sources = { tables: string[]; nested: Query[]; conditions: Expression[] };

function source(item: Json, into: Sources): void {
  relation(item.relation, into);
  for (const join of itemsOf(item.joins)) {
    if (!isObject(join)) continue;
    relation(join.relation, into);
    const [, constraint] = tagged(join.join_operator);
    into.conditions.push(...optional(field(constraint, "On")));
  }
}

function tablesIn(items: readonly unknown[]): string[] {
  const into: Sources = { tables: [], nested: [], conditions: [] };
  for (const item of items) if (isObject(item)) source(item, into);
  return into.tables;
}

function relation(node: unknown, into: Sources): void {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  if (tag === "Table") into.tables.push(tableName(body.name));
  else if (tag === "Derived" && isObject(body.subquery)) into.nested.push(query(body.subquery));
  else if (tag === "NestedJoin" && isObject(body.table_with_joins)) source(body.table_with_joins, into);
}

const tableName = (name: unknown): string =>
  itemsOf(name)
    .map(part => field(part, "Identifier"))
    .map(identifier => (isObject(identifier) ? String(identifier.value) : ""))
    .join(".")
    .toLowerCase();

const field = (node: unknown, name: string): unknown => (isObject(node) ? node[name] : undefined);

const optional = (node: unknown): Expression[] =>
  isObject(node) || typeof node === "string" ? [expression(node)] : [];

const comparisons = new Set(["Eq", "NotEq", "Lt", "LtEq", "Gt", "GtEq", "Spaceship", "MyIntegerDivide"]);
const nameOf = (value: unknown): string => (isObject(value) ? String(value.value) : "");

function expression(node: unknown): Expression {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  switch (tag) {
    case "Value": {
      const [kind] = tagged(isObject(body.value) ? body.value : value);
      return kind === "Placeholder" ? { kind: "parameter" } : { kind: "constant" };
    }
    case "TypedString":
    case "Interval":
      return { kind: "constant" };
    case "Identifier":
      return { kind: "column", name: nameOf(value) };
    case "CompoundIdentifier":
      return { kind: "column", name: itemsOf(value).map(nameOf).join(".") };
    case "BinaryOp": {
      const operands = [expression(body.left), expression(body.right)];
      const operator = typeof body.op === "string" ? body.op : tagged(body.op)[0];
      if (operator === "And" || operator === "Or" || operator === "Xor")
        return {
          kind: "logic",
          operator: operator.toLowerCase() as "and" | "or" | "xor",
          arguments: operands,
        };
      // Without PIPES_AS_CONCAT, || is OR.
      if (operator === "StringConcat" && operands.some(({ kind }) => kind === "comparison"))
        return { kind: "logic", operator: "or", arguments: operands };
      return comparisons.has(operator)
        ? { kind: "comparison", equal: operator === "Eq", arguments: operands }
        : { kind: "other", arguments: operands };
    }
    case "UnaryOp":
      return body.op === "Not"
        ? { kind: "logic", operator: "not", arguments: [expression(body.expr)] }
        : { kind: "other", arguments: [expression(body.expr)] };
    case "Cast": {
      const inner = expression(body.expr);
      // BINARY 'x' OR …: this parser takes all that follows for its operand.
      return { kind: "other", arguments: inner.kind === "logic" ? inner.arguments : [inner] };
    }
    case "Nested":
      return expression(value);
    case "Like":
    case "RLike":
    case "Between":
    case "InList":
      return {
        kind: "comparison",
        equal: false,
        arguments: [body.expr, body.pattern, body.low, body.high, ...itemsOf(body.list)].flatMap(optional),
      };
    case "IsNull":
    case "IsNotNull":
    case "IsTrue":
    case "IsFalse":
    case "IsNotTrue":
    case "IsNotFalse":
      return {
        kind: "comparison",
        equal: false,
        ...(tag === "IsNull" && { absent: true }),
        arguments: [expression(value)],
      };
    case "Function": {
      const [name, given] = [tableName(body.name), callArguments(body.args)];
      return name === "if"
        ? { kind: "other", arguments: given, decidesBy: given.slice(0, 1) }
        : { kind: "call", name, arguments: given };
    }
    case "Case": {
      const branches = itemsOf(body.conditions).filter(isObject);
      const conditions = branches.flatMap(({ condition }) => optional(condition));
      return {
        kind: "other",
        arguments: [
          ...conditions,
          ...[body.operand, ...branches.map(({ result }) => result), body.else_result].flatMap(optional),
        ],
        ...(!body.operand && { decidesBy: conditions }),
      };
    }
    case "Subquery":
      return { kind: "query", query: query(body), many: false };
    case "Exists":
    case "InSubquery": {
      const inner = {
        kind: "query" as const,
        query: query(isObject(body.subquery) ? body.subquery : {}),
        many: true,
      };
      return { kind: "other", arguments: [...optional(body.expr), inner] };
    }
    default:
      return { kind: "other", arguments: children(value) };
  }
}

function callArguments(value: unknown): Expression[] {
  const list = field(value, "List");
  return itemsOf(isObject(list) ? list.args : []).flatMap(argument => {
    const [, unnamed] = tagged(argument);
    const inner = field(unnamed, "Expr") ?? field(isObject(unnamed) ? unnamed.arg : null, "Expr");
    return optional(inner);
  });
}

/** Whatever is below a node that has no case of its own. */
function children(body: unknown): Expression[] {
  if (Array.isArray(body)) return body.filter(isNode).map(expression);
  return isObject(body)
    ? Object.values(body).flatMap(value =>
        Array.isArray(value)
          ? // The branches of a CASE have no tag of their own.
            value.flatMap(item => (isNode(item) ? [expression(item)] : children(item)))
          : isNode(value)
            ? [expression(value)]
            : [],
      )
    : [];
}

const isNode = (value: unknown): boolean => isObject(value) && /^[A-Z]/.test(tagged(value)[0]);
