/**
 * The places of a template where an application pastes something in: each literal, and the names and lists of
 * names that cannot be bound as parameters: what is selected, sorted or grouped by. The names of tables are none:
 * a statement that names another table is another statement.
 */
import { isName, LITERAL } from "./tokens.ts";

/** Tokens [from, to) of the template. */
export type Slot = { from: number; to: number; kind: "literal" | "name" | "table" };

/** More slots than this, and a template is a script and no query. */
const SLOTS_MAX = 96;

const listStarts = new Set(["select", "by"]);
const listEnds = new Set(
  "from where set values having limit union intersect except on using for returning window order group offset ; into procedure".split(
    " ",
  ),
);

/** A table is named after these. */
export const beforeTables: ReadonlySet<string> = new Set([
  "from",
  "join",
  "into",
  "update",
  "table",
  "call",
  "replace",
]);

export function slotsOf(words: readonly string[]): Slot[] {
  const slots: Slot[] = [];
  let inList = false;
  let depth = 0;
  for (const [at, word] of words.entries()) {
    if (slots.length >= SLOTS_MAX) break;
    if (word === LITERAL) slots.push({ from: at, to: at + 1, kind: "literal" });
    // Another table makes another statement; what else stands in its place does not (drift.ts).
    if (beforeTables.has(words[at - 1] ?? "") && isName(word))
      slots.push({ from: at, to: qualifiedEnd(words, at), kind: "table" });
    if (word === "(") depth++;
    else if (word === ")") depth--;
    // Lists of names in brackets are the code's own: derived tables, calls.
    if (depth > 0) continue;
    if (listStarts.has(word)) {
      inList = true;
      const to = listEnd(words, at + 1);
      if (to > at + 2) slots.push({ from: at + 1, to, kind: "name" });
    } else if (listEnds.has(word)) inList = false;
    else if (inList && isName(word) && words[at + 1] !== "(")
      slots.push({ from: at, to: at + 1, kind: "name" });
  }
  return slots;
}

/**
 * What is left of a template without the columns that it lists and their directions, and on demand without the tables
 * that it reads by a condition: a program chooses these, too.
 */
export function skeletonOf(words: readonly string[], { tables = false } = {}): string {
  // An INSERT into another table is another statement.
  const read = tables && words[0] === "select" && words.includes("where");
  const chosen = (kind: Slot["kind"]) => kind === "name" || (kind === "table" && read);
  const names = new Set(
    slotsOf(words).flatMap(({ from, to, kind }) =>
      chosen(kind) && to === from + 1 ? [from] : kind === "table" && chosen(kind) ? [from, to - 1] : [],
    ),
  );
  return words
    .map((word, at) => (names.has(at) ? "name" : word === "asc" || word === "desc" ? "" : word))
    .join(" ");
}

/** Where the name that starts at `from` ends: `schema . table`. */
function qualifiedEnd(words: readonly string[], from: number): number {
  let to = from + 1;
  while (words[to] === "." && isName(words[to + 1])) to += 2;
  return to;
}

/** Where the list that starts at `from` ends, in its own brackets. */
function listEnd(words: readonly string[], from: number): number {
  let depth = 0;
  for (let i = from; i < words.length; i++) {
    const word = words[i]!;
    if (word === "(") depth++;
    else if (word === ")" && --depth < 0) return i;
    else if (depth === 0 && listEnds.has(word)) return i;
  }
  return words.length;
}
