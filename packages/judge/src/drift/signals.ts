/**
 * What is odd about spliced tokens. Alone none of these is proof: honest statements hold subqueries and OR, too.
 * Where tokens stand in the place of one value of a known template, one of them is enough.
 */
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
  | "swallowed-rest";

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

function skipOperators(words: readonly string[], from: number): number {
  let at = from;
  while (isOperator(words[at])) at++;
  return at;
}

const isQualifier = (words: readonly string[], at: number) => words[at - 1] === "." && words[at + 3] === ".";
