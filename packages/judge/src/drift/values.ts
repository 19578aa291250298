/**
 * Whether tokens are one value, as honest code writes it in more ways than one: a literal, a bound variable with a type, an array, or a function whose outcome depends on nothing but literals and the clock.
 */
import { LITERAL } from "./tokens.ts";

const prefixes = new Set(
  "date time timestamp interval binary n x b e u _utf8 _utf8mb4 _latin1 _binary json point".split(" "),
);
/** No attacker gains anything from these. */
const pureFunctions = new Set(
  `now curdate curtime unix_timestamp utc_timestamp sysdate uuid gen_random_uuid last_insert_id nextval lastval date time
  from_unixtime str_to_date to_timestamp to_date date_add date_sub interval lower upper trim repeat space lpad rpad concat
  coalesce round floor ceil abs json_object json_array to_tsquery to_tsvector point st_geomfromtext inet_aton sha1 sha2
  md5 cast convert row array current_date getdate datetime`.split(/\s+/),
);
const types = /^["a-z_]/;

/** One, or several with commas between them: a longer row, or a longer list. */
export function areValues(words: readonly string[]): boolean {
  let at = value(words, 0);
  while (at > 0 && words[at] === ",") at = value(words, at + 1);
  return at === words.length;
}

/**
 * Values of one column with `or column =` between them: what IN says in another way. Whoever may choose the value
 * gains nothing by choosing several.
 */
export function areAlternatives(words: readonly string[], column: readonly string[]): boolean {
  if (column.length === 0) return false;
  let at = value(words, 0);
  while (at > 0 && at < words.length) {
    if (words[at] !== "or" || words[at + 1 + column.length] !== "=") return false;
    if (!column.every((word, i) => words[at + 1 + i] === word)) return false;
    at = value(words, at + 2 + column.length);
  }
  return at === words.length;
}

/** The index after the value that starts at `at`, or -1. */
function value(words: readonly string[], at: number): number {
  const word = words[at];
  if (word === undefined) return -1;
  if (word === LITERAL) return at + 1;
  if (word === ":?") return typed(words, at + 1);
  if (word === "@" && words[at + 1] !== "@" && types.test(words[at + 1] ?? "")) return typed(words, at + 2);
  if (word.startsWith("$")) return typed(words, at + 1);
  if (word === "array" && words[at + 1] === "[") return typed(words, list(words, at + 2, "]"));
  if (pureFunctions.has(word) && words[at + 1] === "(") return list(words, at + 2, ")");
  if (prefixes.has(word)) return value(words, at + 1);
  return -1;
}

function list(words: readonly string[], at: number, close: string): number {
  if (words[at] === close) return at + 1;
  for (let next = value(words, at); next > 0; next = value(words, next + 1)) {
    if (words[next] === close) return next + 1;
    // cast(? as type), interval ? day
    if (words[next] === "as" || /^(?:day|hour|minute|second|week|month|year)$/.test(words[next] ?? "")) {
      const end = words.indexOf(close, next);
      if (end > 0 && end - next <= 4) return end + 1;
    }
    if (words[next] !== ",") return -1;
  }
  return -1;
}

/** A type or a collation after it. */
function typed(words: readonly string[], at: number): number {
  if (at < 0) return at;
  let next = at;
  while (words[next] === ":" && words[next + 1] === ":" && types.test(words[next + 2] ?? "")) {
    next += 3;
    if (words[next] === "[" && words[next + 1] === "]") next += 2;
  }
  if (words[next] === "collate" && types.test(words[next + 1] ?? "")) next += 2;
  return next;
}
