/**
 * A statement as drift compares it: words in one case, literals as `?`, and what honest code varies by itself
 * folded away: the sign of a literal, further items of an IN list or an array, further rows of VALUES, NULL where a
 * literal may stand, a tracer's tags before or after it all. Unlike the shape that the kernel hashes
 * (docs/fingerprint.md) this may lose something, because it never says that a statement is known; it only says which
 * known one a new statement is closest to.
 */
import { reservedWords, type SqlDialect, type Token, tokenize } from "@picket/native/lexer";
import { isNote } from "../notes.ts";

export type DriftTokens = {
  /** One word for each token; equal words are equal tokens. */
  words: string[];
  /** Byte offsets in the statement, [start, end) for each token. */
  spans: [start: number, end: number][];
  /** The text of each literal, undefined for other tokens. */
  literals: (string | undefined)[];
  /** The words in a line comment at the end, as they would read without it, and after a quote that it may hold. */
  hidden: readonly (readonly string[])[];
  /** Tags stood before or after these: a comment, which may hide what a template ends with. */
  tagged: boolean;
};

export const LITERAL = "?";
const PLACEHOLDER = ":?";
/** Longer statements are compared by their beginning: no application's template is longer. */
export const TOKENS_MAX = 4_096;

/** Comments at the end are short, or hide nothing that a template ends with. */
const HIDDEN_CHARACTERS_MAX = 4_096;

export type Reading = { dialect: SqlDialect; session?: number };

export function driftTokens(sql: Uint8Array | string, reading: Reading): DriftTokens {
  const out: Unfolded = { words: [], spans: [], literals: [] };
  let last = "";
  const read = tokenize(sql, reading);
  const untagged = withoutTags(read);
  for (const { kind, start, end, text } of untagged) {
    last = text;
    if (out.words.length === TOKENS_MAX) break;
    const span: [number, number] = [start, end];
    switch (kind) {
      case "literal":
        dropSign(out, span);
        push(out, LITERAL, span, text);
        break;
      case "word": {
        const word = text.toLowerCase();
        if (valueWords.has(word) && standsForValue(out.words)) push(out, LITERAL, span, word);
        else push(out, word, span);
        break;
      }
      case "quoted":
        push(out, `"${text.slice(1, -1)}"`, span);
        break;
      case "placeholder":
        push(out, PLACEHOLDER, span);
        break;
      case "comment":
        push(out, commentWord(text), span);
        break;
      case "punctuation":
        push(out, text, span);
        break;
    }
    foldList(out);
  }
  // Whether a client sends the last semicolon is its habit.
  while (out.words.at(-1) === ";") drop(out, out.words.length - 1, 1);
  foldRows(out);
  return {
    ...out,
    hidden: isLineComment(out.words.at(-1)) ? hiddenIn(last, reading) : [],
    tagged: untagged !== read,
  };
}

type Unfolded = Omit<DriftTokens, "hidden" | "tagged">;

/** Key and value, as sqlcommenter writes them: a tag also where it is glued to the last value. */
const SQLCOMMENTER = /^\/\*\s*[\w.%~-]+='[^'*\\]*'(?:\s*,\s*[\w.%~-]+='[^'*\\]*')*\s*\*\/$/;

/** Tracing adds them to some statements, with other words each time: `SELECT … /*traceparent='00-5b1c-01'*\/`. */
function withoutTags(tokens: Token[]): Token[] {
  const isTag = (at: number, beside: number): boolean => {
    const token = tokens[at];
    if (token?.kind !== "comment") return false;
    // A line comment before everything else names the statement.
    if (at < beside && isLineComment(commentWord(token.text))) return true;
    if (commentWord(token.text) !== "/**/" || !isNote(token.text)) return false;
    if (SQLCOMMENTER.test(token.text)) return true;
    const other = tokens[beside];
    return other === undefined || other.end < token.start || token.end < other.start || other.text === ";";
  };
  let from = 0;
  let to = tokens.length;
  while (isTag(from, from + 1)) from++;
  for (let at = to; at > from && (isTag(at - 1, at - 2) || tokens[at - 1]?.text === ";"); at--)
    if (tokens[at - 1]?.kind === "comment") to = at - 1;
  return from === to || to - from === tokens.length ? tokens : tokens.slice(from, to);
}

const isLineComment = (word: string | undefined) => word === "/*--*/" || word === "/*#*/";

function hiddenIn(comment: string, reading: Reading): string[][] {
  const text = comment.replace(/^(?:--|#)/, "");
  if (text.length > HIDDEN_CHARACTERS_MAX) return [];
  const [, afterQuote] = /^[^'"`]*['"`](.*)$/s.exec(text) ?? [];
  // More dashes and quotes, and it hides what another comment or a text hid before.
  return [text, afterQuote, text.replace(/--|["'`#]/g, " ")]
    .flatMap(one => (one === undefined ? [] : [driftTokens(one, reading).words]))
    .filter(words => words.length > 0);
}

/** Values that are words. `is null` is no value; `= null`, `, null` and `(true` are. */
const valueWords = new Set(["null", "true", "false", "default", "current_timestamp"]);
const valueOpeners = new Set(["=", ",", "(", "<", ">", "values", "between", "like", "then", "else"]);
const standsForValue = (words: readonly string[]): boolean => valueOpeners.has(words.at(-1) ?? "");

const reserved = new Set(reservedWords);
const nameStart = /^["a-z_\u0080-\uffff]/;

/** A quoted name, or a word that is not reserved. */
export const isName = (word: string | undefined): boolean =>
  word !== undefined && nameStart.test(word) && !reserved.has(word);

export const isComment = (word: string): boolean => word.startsWith("/*");

function commentWord(text: string): string {
  if (text.startsWith("--")) return "/*--*/";
  if (text.startsWith("#")) return "/*#*/";
  if (text.startsWith("/*!") || text.startsWith("/*M!")) return "/*!*/";
  return text.startsWith("/*+") ? "/*+*/" : "/**/";
}

function push(out: Unfolded, word: string, span: [number, number], literal?: string): void {
  out.words.push(word);
  out.spans.push(span);
  out.literals.push(literal);
}

function drop(out: Unfolded, from: number, count: number): void {
  out.words.splice(from, count);
  out.spans.splice(from, count);
  out.literals.splice(from, count);
}

const signAfter =
  /^(?:[([,=<>+*/%-]|and|or|between|limit|offset|values|then|else|when|in|select|where|by|set|like|return|on)$/;

/** `- ?` where no operand stands before the sign. */
function dropSign({ words, spans, literals }: Unfolded, span: [number, number]): void {
  const sign = words.at(-1);
  if (sign !== "-" && sign !== "+") return;
  const before = words.at(-2);
  if (before === undefined || !signAfter.test(before)) return;
  words.pop();
  literals.pop();
  span[0] = spans.pop()![0];
}

const lists = new Set(["in (", "array ["]);

/** `in ( ? , ?` becomes `in ( ?`, and `array [ ? , ?` becomes `array [ ?`. */
function foldList(out: Unfolded): void {
  const { words } = out;
  const last = words.length - 1;
  if (words[last] !== LITERAL && words[last] !== PLACEHOLDER) return;
  if (
    words[last - 1] === "," &&
    words[last - 2] === words[last] &&
    lists.has(`${words[last - 4]} ${words[last - 3]}`)
  )
    drop(out, last - 1, 2);
}

/** `values ( … ) , ( … )` becomes `values ( … )` when the rows are alike. */
function foldRows(out: Unfolded): void {
  const { words } = out;
  const values = words.indexOf("values");
  if (values < 0 || words[values + 1] !== "(") return;
  const close = closing(words, values + 1);
  const length = close - values;
  let next = close + 1;
  while (words[next] === ",") {
    for (let i = 0; i < length; i++)
      if (words[next + 1 + i] !== words[values + 1 + i]) {
        if (next > close + 1) drop(out, close + 1, next - close - 1);
        return;
      }
    next += length + 1;
  }
  if (next > close + 1) drop(out, close + 1, next - close - 1);
}

function closing(words: readonly string[], open: number): number {
  let depth = 0;
  for (let i = open; i < words.length; i++) {
    if (words[i] === "(") depth++;
    else if (words[i] === ")" && --depth === 0) return i;
  }
  return words.length - 1;
}
