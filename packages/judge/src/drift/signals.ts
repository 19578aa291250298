/**
 * What is odd about spliced tokens. Alone none of these is proof: honest statements hold subqueries and OR, too.
 * Where tokens stand in the place of one value of a known template, one of them is enough.
 */
import type { Dialect } from "@picket/shared/vocabulary";
import { isComment, isName, LITERAL } from "./tokens.ts";

export type SpliceSignal =
  | "comment"
  | "second-statement"
  | "subquery"
  | "union"
  | "call"
  | "constant-condition"
  | "literals-in-a-row"
  | "calculated-literals"
  /** The same, where the operator compares; at the top, and nothing around it. */
  | "compared-literals"
  | "constant-comparison"
  | "alternative"
  | "same-column"
  | "unbalanced"
  | "clause"
  | "variable"
  | "server"
  | "lone-subquery"
  | "condition"
  | "literal-after-name"
  | "swallowed-rest"
  | "odd-name"
  /** In a table's place: what the server tells of itself, a derived table that reads no table, and a join by no column. */
  | "catalogue"
  | "made-up-table"
  | "natural-join"
  | "more-tables"
  /** In a list's place: texts with arithmetic between them, and a column that is calculated from no column. */
  | "calculated-text"
  | "constant-column";

const operators = new Set("! % & * + - / < = > ^ | ~".split(" "));
const operatorWords = new Set([
  "like",
  "ilike",
  "rlike",
  "regexp",
  "div",
  "mod",
  "xor",
  "is",
  "not",
  "binary",
  "sounds",
]);
const isOperator = (word: string | undefined) =>
  word !== undefined && (operators.has(word) || operatorWords.has(word));
/** What tells about the server or leads out of it, called or read. */
const server = new Set(
  `version user session_user system_user current_user current_role database schema current_database current_schema
  inet_server_addr inet_server_port current_setting load_file sleep benchmark pg_sleep pg_read_file pg_ls_dir
  pg_read_binary_file pg_stat_file lo_import lo_export lo_get extractvalue updatexml database_to_xml query_to_xml
  table_to_xml schema_to_xml dblink xmltype`.split(/\s+/),
);
/** Names that columns have, too. */
const callable = new Set("version user database schema sleep benchmark".split(" "));
const comparisons = new Set("= < > ! like".split(" "));
const conditions = new Set("and or xor = < > like ilike rlike regexp is in between".split(" "));
const word = /^["a-z_\u0080-\uffff]/;
const clauses = new Set([
  "having",
  "group",
  "order",
  "limit",
  "procedure",
  "into",
  "offset",
  "from",
  "where",
  "join",
]);
/** Words that a bracket may follow without a call. */
const bracketWords = new Set(
  "and or not in values where on by as from join select exists any all some between like is then else when case limit having set using over".split(
    " ",
  ),
);

/** `before` and `after` are the tokens that the template has on both sides. */
export function spliceSignals(
  inserted: readonly string[],
  { before, after }: { before: string | undefined; after: string | undefined },
): SpliceSignal[] {
  const found = new Set<SpliceSignal>();
  let depth = 0;
  let between = false;
  /** Where the AND of a BETWEEN stands. */
  let rangeAnd = -1;
  let cases = 0;
  for (const [i, token] of inserted.entries()) {
    if (token === "between") between = true;
    else if (token === "and" && between) {
      between = false;
      rangeAnd = i;
    }
    const next = inserted[i + 1];
    if (token === "case") cases++;
    else if (token === "end") cases--;
    if (server.has(token) && (next === "(" || !callable.has(token))) found.add("server");
    if (depth === 0 && cases === 0 && i > 0 && conditions.has(token)) found.add("condition");
    const previous = i > 0 ? inserted[i - 1] : before;
    if (isComment(token) && token !== "/*+*/") found.add("comment");
    else if (token === ";") found.add("second-statement");
    else if (token === "(") depth++;
    else if (token === ")") {
      if (--depth < 0) found.add("unbalanced");
    } else if (token === "select" || token === "case" || token === "table") found.add("subquery");
    else if (token === "union" || token === "intersect" || token === "except") found.add("union");
    else if (token === "or" || token === "xor" || ((token === "|" || token === "&") && next === token))
      found.add("alternative");
    else if (token === "@" || token === "\\") found.add("variable");
    else if (clauses.has(token)) found.add("clause");
    else if (isOddName(token)) found.add("odd-name");
    if (token === "(" && previous !== undefined && word.test(previous) && !bracketWords.has(previous))
      found.add("call");
    if (token === LITERAL) {
      if (previous === LITERAL) found.add("literals-in-a-row");
      if (i > 0 && isName(previous)) found.add("literal-after-name");
      const comparedAt = skipOperators(inserted, i + 1);
      const compared = comparedAt === inserted.length ? after : inserted[comparedAt];
      if (comparedAt > i + 1 && (compared === LITERAL || compared === "(")) found.add("calculated-literals");
      if (comparedAt > i + 1 && compared === LITERAL && comparisons.has(next ?? "")) {
        found.add("compared-literals");
        if (depth === 0) found.add("constant-comparison");
      }
      const joined = previous === "not" || (previous === "and" && rangeAnd !== i - 1);
      if (joined && (next === undefined || next === "and" || next === "or" || next === ")"))
        found.add("constant-condition");
    }
    if (word.test(token) && next === "=" && inserted[i + 2] === token && !isQualifier(inserted, i))
      found.add("same-column");
  }
  if (depth !== 0) found.add("unbalanced");
  // What it reads is the same for each row: nothing in it is another table's column.
  if (found.has("subquery") && !inserted.includes(".")) found.add("lone-subquery");
  return [...found];
}

/** A quoted name with a quote or a comment in it, or without any letter: an input that opened the quote. */
export const isOddName = (name: string): boolean =>
  name.startsWith('"') && (/["'`]|--|\/\*/.test(name.slice(1, -1)) || !/[\p{L}\p{N}_]/u.test(name));

/** What an injection reads to go on: which tables and columns there are, and whose accounts. */
const maps = new Set(
  `pg_tables pg_class pg_attribute pg_namespace pg_user pg_shadow pg_authid pg_roles pg_database
  information_schema.tables information_schema.columns information_schema.schemata mysql.user`.split(/\s+/),
);

export function readsMaps(inserted: readonly string[]): boolean {
  return inserted.some((word, i) => {
    if (i > 0 && !tableBefore.has(inserted[i - 1]!)) return false;
    const name = bare(word);
    return maps.has(name) || maps.has(name + bare(...inserted.slice(i + 1, i + 3)));
  });
}

/** What is odd about tokens that stand where a template names a table. */
export function tableSignals(inserted: readonly string[], dialect: Dialect): SpliceSignal[] {
  const found: SpliceSignal[] = [];
  if (readsMaps(inserted)) found.push("catalogue");
  const derived = inserted.flatMap((word, at) =>
    word === "(" && inserted[at + 1] === "select" && (at === 0 || tableBefore.has(inserted[at - 1]!))
      ? [at]
      : [],
  );
  if (derived.some(at => isMadeUp(inserted.slice(at), dialect))) found.push("made-up-table");
  // Who does not know a table's columns joins it by those that happen to have one name.
  if (inserted.includes("natural")) found.push("natural-join");
  if (derived.length > 0 || inserted.includes("join")) found.push("more-tables");
  return found;
}

/** What is odd about tokens that stand where a template lists columns. */
export function listSignals(
  inserted: readonly string[],
  literals: readonly (string | undefined)[],
): SpliceSignal[] {
  const isText = (at: number) => /^[^\d.]/.test(literals[at] ?? "0");
  const found: SpliceSignal[] = [];
  if (inserted.some((word, i) => arithmetic.has(word) && isText(i - 1) && isText(i + 1)))
    found.push("calculated-text");
  if (
    inserted.every(word => word === LITERAL || isOperator(word) || word === "(" || word === ")") &&
    inserted.some(isOperator)
  )
    found.push("constant-column");
  else if (decidesOverNothing(inserted)) found.push("constant-column");
  return found;
}

/** A CASE whose condition names no column and binds nothing, however many functions it calls. */
function decidesOverNothing(words: readonly string[]): boolean {
  return words.some((word, at) => {
    if (word !== "when" || words[at - 1] !== "case") return false;
    const condition = words.slice(at + 1, words.indexOf("then", at));
    return condition.every(
      (word, i) =>
        word === LITERAL ||
        isOperator(word) ||
        /^[(),:]$/.test(word) ||
        conditions.has(word) ||
        word === "null" ||
        (isName(word) && (condition[i + 1] === "(" || condition[i - 1] === ":")),
    );
  });
}

const arithmetic = new Set("+ - * / % ^".split(" "));

const bare = (...words: string[]): string =>
  words.length === 2 && words[0] !== "." ? "" : words.join("").replaceAll('"', "").toLowerCase();

const tableBefore = new Set(["from", "join", ","]);

/**
 * A derived table that reads none itself, but asks a subquery. In MySQL a call is enough: no function of it makes
 * rows.
 */
function isMadeUp(words: readonly string[], dialect: Dialect): boolean {
  let depth = 0;
  let asks = false;
  for (const [i, word] of words.entries()) {
    if (word === ")" && --depth === 0) break;
    if (depth === 1 && word === "from") return false;
    if (word !== "(") continue;
    depth++;
    asks ||= depth > 1 && (words[i + 1] === "select" || dialect === "mysql");
  }
  return asks;
}

function skipOperators(words: readonly string[], from: number): number {
  let at = from;
  while (isOperator(words[at])) at++;
  return at;
}

const isQualifier = (words: readonly string[], at: number) => words[at - 1] === "." && words[at + 3] === ".";
