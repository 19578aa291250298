/**
 * Whether input could have made what a rule found. Rules say what injections look like; scripts and tests look the
 * same in places where no application pastes anything in. There a rule's word is told and nothing is blocked:
 * administration (CREATE PROCEDURE, EXPLAIN …), since input cannot change how a statement begins, and a statement
 * that touches no table and so gives an attacker nothing that he did not write himself; and constant conditions of
 * query builders, in statements that bind all of their values; questions about the server in a statement that reads the
 * catalogue alone, as monitoring does; halves of a UNION that a report names by a constant in each; a CASE among the
 * columns that a statement shows, with a name of its own; and statements that read nothing but DUAL.
 */
import type { Severity } from "@picket/shared/vocabulary";

const administration =
  /^(?:create|alter|explain|analyze|merge|declare|comment|grant|revoke|do|prepare|begin|delimiter|show|describe|desc|truncate|refresh|reindex|vacuum)\b/;
const table = /(?:^| )(?:from|into|update|join|table|call|replace|insert|delete)(?: |$)/;
const comment = /(?:^| )\/\*(?:--|#|!)?\*\/(?: |$)/;

/** Rules that builders' constants and notes meet, too: `1 = 0` for an empty list, a comment at the end. */
const habits = new Set(["literal-comparison", "constant-condition", "trailing-comment"]);
/** A literal beside a column or in a list, and no constant compared with another. */
const pasted = /(?:[=<>(,]|like|in|values|between|and|set|limit) \?(?= (?:[,)a-z]|$))/;

/** A constant among the columns before the first UNION: a report that names its halves fills both of them. */
const constantColumn =
  /^(?:with .* )?\(* ?select (?:[^;]*? , )?(?:\?[=!]?|null|:\?)(?: as| ,| "| from| union)/;
const unions = new Set(["union-literals", "union-form"]);

function namesItsHalves(shape: string): boolean {
  const at = shape.search(/ union /);
  return at > 0 && constantColumn.test(shape.slice(0, at + 7));
}

/** Rules about questions that administrators' tools ask of the catalogue, and injections of an application's table. */
const questions = new Set(["server-facts", "secret-subquery"]);
/** The same, and how such tools calculate and comment; of statements that read the catalogue. */
const reports = new Set([
  ...questions,
  "union-probe",
  "server-variables",
  "table-less-subquery",
  "doubled-comparison",
  "constant-case",
  "condition-as-value",
  "comment-between",
  "constant-condition",
]);
/** Accounts' secrets are no question of monitoring. */
const catalogue = /^"?(?:pg_(?!shadow|authid)|(?:information_schema|performance_schema)"?$)/i;
const commonTable =
  /(?:^with(?: recursive)?|,) ("?[\w$]+"?)(?: \( [^()]* \))? as(?: not)?(?: materialized)? \(/g;
const bound = / (?::|@ )\?/;

const namesTable = new Set(["from", "join", "into", "update"]);
/** Functions in a table's place, which read none. */
const rowMakers = new Set(["generate_series", "string_to_array", "unnest"]);
/** What ends a list of tables. */
const endsTables = new Set(
  "where group order limit having union intersect except on using set values returning window for ;".split(
    " ",
  ),
);

/** Which tables stand behind FROM, JOIN, INTO and UPDATE, without the statement's own queries and derived ones. */
function tablesIn(shape: string): string[] {
  const own = new Set([...shape.matchAll(commonTable)].map(([, name]) => name));
  const words = shape.split(" ");
  const tables: string[] = [];
  /** Of each bracket and of the statement: tables are being listed. */
  const listing = [false];
  for (const [at, word] of words.entries()) {
    const top = listing.length - 1;
    const next = words[at + 1] ?? "";
    if (word === "(") listing.push(false);
    else if (word === ")" && top > 0) listing.pop();
    // EXTRACT(epoch FROM …), SUBSTRING(a FROM …)
    else if (word === "from" && /^(?:extract|substring|trim|position)$/.test(words[at - 3] ?? "")) continue;
    else if (namesTable.has(word) || (word === "," && listing[top])) {
      if (word !== "," && word !== "join") listing[top] = word === "from";
      if (next !== "(" && !own.has(next) && !(rowMakers.has(next) && words[at + 2] === "("))
        tables.push(next);
    } else if (endsTables.has(word)) listing[top] = false;
  }
  return tables;
}

/** Statements of monitoring. What an injection adds to one reads an application's table, or asks behind a UNION. */
function readsCatalogue(shape: string): boolean {
  const tables = tablesIn(shape);
  const first = shape.search(/ (?:from|join) "?(?:pg_|information_schema|performance_schema)/i);
  const union = shape.search(/ (?:union|intersect|except) /);
  return tables.every(table => catalogue.test(table)) && first >= 0 && (union < 0 || first < union);
}

/** What a CASE may stand in and still be among the columns that the statement shows. */
function showsItsCases(shape: string): boolean {
  if (!/ case when /.test(shape) || / case when (?:\( )*[-+]? ?[?:]/.test(shape) || / if \(/.test(shape))
    return false;
  const words = shape.split(" ");
  /** Of each bracket and of the statement: its columns are being listed. */
  const listing: boolean[] = [false];
  /** A subquery that is no common table expression. */
  const inner: boolean[] = [false];
  let named = true;
  for (const [at, word] of words.entries()) {
    const top = listing.length - 1;
    if (word === "(") {
      const asks = words[at + 1] === "select" && !/^(?:as|materialized)$/.test(words[at - 1] ?? "");
      listing.push(!asks && words[at + 1] !== "select" && listing[top]!);
      inner.push(asks || (inner[top]! && !/^(?:as|materialized)$/.test(words[at - 1] ?? "")));
    } else if (word === ")") {
      if (top === 0) return false;
      listing.pop();
      inner.pop();
    } else if (word === "select" || word === "returning") listing[top] = true;
    else if (word === "from") listing[top] = false;
    else if (word === "case" && !(listing[top] && !inner[top])) return false;
    else if (word === "end") {
      const next = words.slice(at + 1).find(word => word !== ")");
      named &&= next === "as" || next === undefined;
    }
  }
  return named;
}

/** The rows of DUAL are nobody's; and who calls nothing learns nothing of the server. */
const fromDual = /^(?:insert|replace|select) .*from dual/;
const readFrom = /(?:^| )(?:from|join) (?!dual(?: |$))/;
const called = / [a-z_]\w* \(/g;
const noCalls = new Set(
  " values ( in ( and ( or ( not ( select ( as ( on ( exists ( where ( union ( all (".match(called),
);

function readsNothing(shape: string): boolean {
  return (
    fromDual.test(shape) &&
    !comment.test(shape) &&
    !readFrom.test(shape) &&
    !shape.includes("@") &&
    (shape.match(called) ?? []).every(call => noCalls.has(call))
  );
}

/** `( ? is null or a = ? )`, `( ? = ? or a = ? )`: a filter that a client may leave out, with its values written in. */
const optional =
  /(?<=where |and )\( (?:\?|null) (?:is (?:not )?null|(?:=|< >|! =) \?[=!]?) or (?:"?[\w$]+"? \. )*"?[\w$]+"? (?:=|<|>|< =|> =|like|ilike|< >) (?:\?|null) \)(?= and | order | group | limit |$)/g;
/** What builders begin a condition with. */
const beginning = /(?<=where )\? = \?[=!] and /;
/** Signs that something else is odd: another alternative, a comparison of constants, an end before the end. */
const odd = / (?:or|xor|union|case|not|exists|;) |\?[=!]|\||&|\( select |\/\*|(?<!between \?) and (?:\( )*\?/;
const constants = new Set([
  "literal-comparison",
  "constant-condition",
  "doubled-comparison",
  "string-operators",
]);

/** Under an AND a filter that is left out changes nothing, so an injection gains nothing by looking like one. */
function leavesFiltersOut(shape: string): boolean {
  const rest = shape.replace(optional, "filter").replace(beginning, "");
  return rest.includes(" filter") && !odd.test(`${rest} `);
}

const leadingComments = /^(?:\/\*[^ ]*\*\/ )+/;

export function bears(commented: string, rules: readonly string[], severity: Severity): boolean {
  const shape = commented.replace(leadingComments, "");
  if (administration.test(shape)) return false;
  if (rules.every(rule => habits.has(rule)) && bound.test(shape) && !pasted.test(shape)) return false;
  if (rules.every(rule => unions.has(rule)) && namesItsHalves(shape)) return false;
  if (rules.every(rule => questions.has(rule)) && tablesIn(shape).every(table => catalogue.test(table)))
    return false;
  if (rules.every(rule => reports.has(rule)) && readsCatalogue(shape)) return false;
  if (rules.every(rule => rule === "constant-case") && showsItsCases(shape)) return false;
  if (readsNothing(shape)) return false;
  if (rules.every(rule => constants.has(rule)) && leavesFiltersOut(shape)) return false;
  // A comment may have swallowed the table.
  return severity === "critical" || table.test(shape) || comment.test(commented);
}
