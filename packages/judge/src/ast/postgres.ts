/** libpg_query's tree (PostgreSQL's own parse nodes, src/include/nodes/parsenodes.h) in the form of tree.ts. */
import { type Expression, emptyQuery, isObject, itemsOf, type Json, type Query, tagged } from "./tree.ts";

export function fromPostgres(tree: unknown): Query[] {
  return itemsOf(isObject(tree) ? tree.stmts : []).map(entry =>
    statement(isObject(entry) ? entry.stmt : null),
  );
}

function statement(node: unknown): Query {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  const ctes = itemsOf(isObject(body.withClause) ? body.withClause.ctes : []);
  const names = ctes.map(cte => String(field(cte, "CommonTableExpr", "ctename")).toLowerCase());
  const query = plain(tag, body);
  const nested = ctes.map(cte => statement(field(cte, "CommonTableExpr", "ctequery")));
  return { ...query, nested: [...nested, ...query.nested], names };
}

/** Without its common table expressions. */
function plain(tag: string, body: Json): Query {
  switch (tag) {
    case "SelectStmt":
      return select(body);
    case "InsertStmt": {
      const source =
        tagged(body.selectStmt)[0] === "SelectStmt" ? statement(body.selectStmt) : emptyQuery("other");
      const values = source.columns.length > 0 ? [] : source.written;
      const columns = itemsOf(body.cols).map(targetName);
      const conflict = isObject(body.onConflictClause) ? body.onConflictClause : {};
      return {
        ...emptyQuery("insert"),
        tables: [tableName(body.relation)],
        written: [...values, ...itemsOf(conflict.targetList).map(target)],
        writtenTo: [
          ...values.map((_, i) => columns[i % columns.length]),
          ...itemsOf(conflict.targetList).map(targetName),
        ],
        conditions: optional(conflict.whereClause),
        columns: returned(body),
        nested: source.columns.length > 0 || source.parts.length > 0 ? [source] : [],
      };
    }
    case "UpdateStmt":
      return {
        ...emptyQuery("update"),
        tables: [tableName(body.relation)],
        written: itemsOf(body.targetList).map(target),
        writtenTo: itemsOf(body.targetList).map(targetName),
        conditions: optional(body.whereClause),
        columns: returned(body),
      };
    case "DeleteStmt":
      return {
        ...emptyQuery("delete"),
        tables: [tableName(body.relation)],
        conditions: optional(body.whereClause),
        columns: returned(body),
      };
    case "CallStmt":
      return { ...emptyQuery("call"), written: callArguments(body.funccall) };
    default:
      return emptyQuery("other");
  }
}

const callArguments = (call: unknown): Expression[] =>
  itemsOf(isObject(call) ? call.args : []).map(expression);

const returned = (body: Json): Expression[] => itemsOf(body.returningList).map(target);

function select(body: Json): Query {
  const lists = [
    ...itemsOf(body.sortClause).map(node => expression(field(node, "SortBy", "node"))),
    ...optional(body.limitCount),
    ...optional(body.limitOffset),
  ];
  if (body.op !== undefined && body.op !== "SETOP_NONE")
    return {
      ...emptyQuery("set-operation"),
      parts: [body.larg, body.rarg].filter(isObject).map(half => statement({ SelectStmt: half })),
      union: body.op === "SETOP_UNION",
      lists,
    };
  const from: Sources = { tables: [], nested: [], conditions: [], written: [] };
  for (const item of itemsOf(body.fromClause)) source(item, from);
  const columns = itemsOf(body.targetList).map(target);
  const star = itemsOf(body.targetList).some(item => JSON.stringify(item).includes('"A_Star"'));
  return {
    ...emptyQuery("select"),
    columns,
    width: star || columns.length === 0 ? null : columns.length,
    tables: from.tables,
    nested: from.nested,
    conditions: [...from.conditions, ...optional(body.whereClause), ...optional(body.havingClause)],
    lists: [...itemsOf(body.groupClause).map(expression), ...lists],
    written: [
      ...from.written,
      ...itemsOf(body.valuesLists).flatMap(row => itemsOf(field(row, "List", "items")).map(expression)),
    ],
  };
}

type Sources = { tables: string[]; nested: Query[]; conditions: Expression[]; written: Expression[] };

function source(node: unknown, into: Sources): void {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  if (tag === "RangeVar") into.tables.push(tableName(body));
  else if (tag === "RangeSubselect") into.nested.push(statement(body.subquery));
  else if (tag === "RangeFunction")
    for (const list of itemsOf(body.functions))
      for (const call of itemsOf(field(list, "List", "items")))
        into.written.push(...callArguments(tagged(call)[1]));
  else if (tag === "JoinExpr") {
    source(body.larg, into);
    source(body.rarg, into);
    into.conditions.push(...optional(body.quals));
  }
}

const tableName = (value: unknown): string =>
  isObject(value)
    ? [value.schemaname, value.relname]
        .filter(part => typeof part === "string")
        .join(".")
        .toLowerCase()
    : "";

const field = (node: unknown, tag: string, name: string): unknown => {
  const [found, body] = tagged(node);
  return found === tag && isObject(body) ? body[name] : undefined;
};

const optional = (node: unknown): Expression[] => (isObject(node) ? [expression(node)] : []);

const target = (node: unknown): Expression => expression(field(node, "ResTarget", "val"));

const targetName = (node: unknown): string | undefined => {
  const name = field(node, "ResTarget", "name");
  return typeof name === "string" ? name : undefined;
};

const strings = (value: unknown): string[] =>
  itemsOf(value).flatMap(item => {
    const text = field(item, "String", "sval");
    return typeof text === "string" ? [text] : [];
  });

function expression(node: unknown): Expression {
  const [tag, value] = tagged(node);
  const body = isObject(value) ? value : {};
  switch (tag) {
    case "A_Const":
    case "SetToDefault":
      return { kind: "constant" };
    case "ColumnRef":
      return { kind: "column", name: strings(body.fields).join(".") };
    case "ParamRef":
      return { kind: "parameter" };
    case "BoolExpr":
      return {
        kind: "logic",
        operator: body.boolop === "OR_EXPR" ? "or" : body.boolop === "NOT_EXPR" ? "not" : "and",
        arguments: itemsOf(body.args).map(expression),
      };
    case "A_Expr": {
      const list = field(body.rexpr, "List", "items");
      const operands = [body.lexpr, ...(list === undefined ? [body.rexpr] : itemsOf(list))]
        .filter(isObject)
        .map(expression);
      if (body.kind === "AEXPR_NULLIF") return { kind: "call", name: "nullif", arguments: operands };
      const operator = strings(body.name).join("");
      return body.kind !== "AEXPR_OP" || /^(?:[<>=]+|!=|<>|~+\*?|!~+\*?|@>|<@|&&)$/.test(operator)
        ? { kind: "comparison", equal: body.kind === "AEXPR_OP" && operator === "=", arguments: operands }
        : { kind: "other", arguments: operands };
    }
    case "NullTest":
    case "BooleanTest":
      return {
        kind: "comparison",
        equal: false,
        ...(body.nulltesttype === "IS_NULL" && { absent: true }),
        arguments: optional(body.arg),
      };
    case "CaseExpr": {
      const branches = itemsOf(body.args)
        .map(branch => tagged(branch)[1])
        .filter(isObject);
      const conditions = branches.flatMap(({ expr }) => optional(expr));
      return {
        kind: "other",
        arguments: [
          ...conditions,
          ...[body.arg, ...branches.map(({ result }) => result), body.defresult].flatMap(optional),
        ],
        ...(!body.arg && { decidesBy: conditions }),
      };
    }
    case "FuncCall":
      return {
        kind: "call",
        name: strings(body.funcname).at(-1)?.toLowerCase() ?? "",
        arguments: itemsOf(body.args).map(expression),
      };
    case "CoalesceExpr":
    case "MinMaxExpr":
      return { kind: "call", name: "coalesce", arguments: itemsOf(body.args).map(expression) };
    case "SQLValueFunction":
      return { kind: "call", name: String(body.op).replace("SVFOP_", "").toLowerCase(), arguments: [] };
    case "TypeCast": {
      const names = strings(isObject(body.typeName) ? body.typeName.names : undefined);
      // A text that is called true is TRUE, however it is written.
      if (names.at(-1) === "bool" && tagged(body.arg)[0] === "A_Const") return { kind: "constant" };
      return { kind: "other", arguments: optional(body.arg) };
    }
    case "SubLink":
      return {
        kind: "query",
        query: statement(body.subselect),
        many: body.subLinkType !== "EXPR_SUBLINK",
      };
    default:
      return { kind: "other", arguments: children(body) };
  }
}

/** Whatever is below a node that has no case of its own. */
function children(body: Json): Expression[] {
  return Object.values(body).flatMap(value =>
    Array.isArray(value)
      ? value.filter(isNode).map(expression)
      : isNode(value)
        ? [expression(value)]
        : isObject(value)
          ? children(value)
          : [],
  );
}

const isNode = (value: unknown): boolean => isObject(value) && /^[A-Z]/.test(tagged(value)[0]);
