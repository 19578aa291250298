/**
 * What is odd about spliced tokens. Alone none of these is proof: honest statements hold subqueries and OR, too.
 * Where tokens stand in the place of one value of a known template, one of them is enough.
 */
import { isComment, LITERAL } from "./tokens.ts";

export type SpliceSignal =
  | "comment"
  | "second-statement"
  | "subquery"
  | "union"
  | "call"
  | "constant-condition"
  | "literals-in-a-row"
  | "calculated-literals"
  | "alternative"
  | "same-column"
  | "unbalanced"
  | "clause"
  | "variable"
  | "quoted-value";

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
  for (const [i, token] of inserted.entries()) {
    if (token === "between") between = true;
    else if (token === "and" && between) {
      between = false;
      rangeAnd = i;
    }
    const next = inserted[i + 1];
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
      const comparedAt = skipOperators(inserted, i + 1);
      const compared = comparedAt === inserted.length ? after : inserted[comparedAt];
      if (comparedAt > i + 1 && (compared === LITERAL || compared === "(")) found.add("calculated-literals");
      const joined = previous === "not" || (previous === "and" && rangeAnd !== i - 1);
      if (joined && (next === undefined || next === "and" || next === "or" || next === ")"))
        found.add("constant-condition");
    }
    if (word.test(token) && next === "=" && inserted[i + 2] === token && !isQualifier(inserted, i))
      found.add("same-column");
  }
  if (depth !== 0) found.add("unbalanced");
  return [...found];
}

function skipOperators(words: readonly string[], from: number): number {
  let at = from;
  while (isOperator(words[at])) at++;
  return at;
}

const isQualifier = (words: readonly string[], at: number) => words[at - 1] === "." && words[at + 3] === ".";
