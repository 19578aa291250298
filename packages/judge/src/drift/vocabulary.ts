/**
 * What a workload adds to its statements about one table: the conditions that it joins by AND, and how it sorts and
 * pages. A query builder adds them in any number, so a statement that is a template and one more of these is the
 * application's. Whoever may paste one in learns nothing: it narrows what is found, by a column and an operator that
 * the application itself lets its users ask for.
 */
import { beforeTables } from "./slots.ts";
import { isComment, isName, LITERAL } from "./tokens.ts";

/** Longer conditions are one statement's own. */
const CONDITION_TOKENS_MAX = 16;
const CONDITIONS_MAX = 32;
/** Known of no table. */
const NOWHERE = "";
const tails = new Set(["order", "limit", "offset"]);
/** At the top of a condition these end it, or make it another one. */
const foreign = new Set([
  ";",
  "or",
  "xor",
  "|",
  "&",
  "union",
  "intersect",
  "except",
  "select",
  "group",
  "having",
  "window",
  "for",
  "into",
  "procedure",
  "returning",
  "on",
  "set",
  "where",
]);

export type Additions = { conditions: string[]; tail: string };

/** Conditions with AND between them, and a tail; undefined: there is something else. */
export function additionsOf(words: readonly string[]): Additions | undefined {
  const conditions: string[] = [];
  let from = 0;
  let depth = 0;
  let between = false;
  const take = (to: number): boolean => {
    if (to === from || to - from > CONDITION_TOKENS_MAX || conditions.length >= CONDITIONS_MAX) return false;
    conditions.push(words.slice(from, to).join(" "));
    return true;
  };
  for (const [at, word] of words.entries()) {
    if (word === "(") depth++;
    else if (word === ")" && --depth < 0) return undefined;
    if (isComment(word) || word === "select" || word === ";") return undefined;
    if (depth > 0) continue;
    if (foreign.has(word)) return undefined;
    if (word === "between") between = true;
    else if (word === "and" && between) between = false;
    else if (word === "and") {
      if (!take(at)) return undefined;
      from = at + 1;
    } else if (tails.has(word)) {
      // The number of a column is what is counted up to find how many there are.
      if (words[at + 1] === "by" && words[at + 2] === LITERAL) return undefined;
      if (at > from ? !take(at) : at > 0) return undefined;
      return { conditions, tail: words.slice(at).join(" ") };
    }
  }
  return depth === 0 && take(words.length) ? { conditions, tail: "" } : undefined;
}

/** The first that is named outside of brackets, or else within. */
const tableOf = (words: readonly string[]): string | undefined => {
  const names = (at: number) => beforeTables.has(words[at] ?? "") && isName(words[at + 1]);
  const outside = outsideBrackets(words).find(names);
  const at = outside ?? words.findIndex((_, i) => names(i));
  return at < 0 ? undefined : words.slice(at + 1, words[at + 2] === "." ? at + 4 : at + 2).join(" ");
};

/** Which tokens stand in no brackets. */
function outsideBrackets(words: readonly string[]): number[] {
  const outside: number[] = [];
  let depth = 0;
  for (const [at, word] of words.entries()) {
    if (word === "(") depth++;
    else if (word === ")") depth--;
    else if (depth === 0) outside.push(at);
  }
  return outside;
}

/** What follows the conditions of a statement. */
const afterConditions = new Set(["group", "having", "window", "for", "returning", "union"]);

/** What stands between a statement's one WHERE and what follows the conditions. */
function filtersOf(words: readonly string[]): readonly string[] | undefined {
  const outside = outsideBrackets(words);
  const [where, another] = outside.filter(at => words[at] === "where");
  if (where === undefined || another !== undefined) return undefined;
  const end = outside.find(at => at > where && afterConditions.has(words[at]!));
  return words.slice(where + 1, end);
}

export class Vocabulary {
  readonly #known = new Map<string, number>();

  add(words: readonly string[]): void {
    this.#count(words, 1);
  }

  remove(words: readonly string[]): void {
    this.#count(words, -1);
  }

  #count(words: readonly string[], by: 1 | -1): void {
    const table = tableOf(words);
    const filters = filtersOf(words);
    if (table === undefined || filters === undefined) return;
    const additions = additionsOf(filters);
    if (!additions) return;
    const names = [...additions.conditions, additions.tail].flatMap(one => one.split(" ")).filter(isName);
    const columns = new Set(names.map(name => `${table}\n${bare(name)}`));
    for (const key of [...columns, ...keysOf(table, additions)]) {
      if (key === NOWHERE) continue;
      const count = (this.#known.get(key) ?? 0) + by;
      if (count > 0) this.#known.set(key, count);
      else this.#known.delete(key);
    }
  }

  /**
   * The same, but that it sorts in its own way: by columns that are shown, or that the workload filters or sorts
   * this table by.
   */
  resembles(template: readonly string[], { conditions, tail }: Additions): boolean {
    const table = tableOf(template);
    if (table === undefined || !this.knows(template, { conditions, tail: "" })) return false;
    const shown = new Set(template.slice(0, template.indexOf("from")).filter(isName).map(bare));
    const sortable = (name: string) => shown.has(bare(name)) || this.#known.has(`${table}\n${bare(name)}`);
    return tail.split(" ").every(word => sorting.has(word) || (isName(word) && sortable(word)));
  }

  /** Whether all of this is what the workload adds to statements about the template's table. */
  knows(template: readonly string[], additions: Additions): boolean {
    const table = tableOf(template);
    return table !== undefined && keysOf(table, additions).every(key => this.#known.has(key));
  }
}

const bare = (name: string): string => name.replaceAll('"', "").toLowerCase();
const alias = /^(?:\w+|"[^"]*") \. /;
const sorting = new Set(["order", "by", "limit", "offset", "asc", "desc", ",", ".", LITERAL]);

function keysOf(table: string, { conditions, tail }: Additions): string[] {
  const keys = conditions
    .filter(condition => condition.split(" ").some(isName))
    .map(condition => `${table}\n\n${condition.replace(alias, "").replaceAll('"', "")}`);
  // A condition over no column says nothing of a table.
  if (keys.length < conditions.length) keys.push(NOWHERE);
  if (tail !== "") keys.push(`${table}\n\n\n${tail}`);
  return keys;
}
