/**
 * A statement of a stored shape. What nodes report holds no literal, so any will do: rules look at places of
 * literals and at whether two are equal, and both are in the shape. Whether the statement made here has the very
 * shape is checked; where it has not, there is none.
 */
import { lex } from "@picket/native/lexer";
import type { Dialect } from "@picket/shared/vocabulary";
import { driftTokens } from "./drift/tokens.ts";
import type { Statement } from "./judge.ts";
import { defaultSession } from "./session.ts";

const comments = new Map([
  ["/*--*/", "-- \n"],
  ["/*#*/", "#\n"],
  ["/**/", "/**/"],
  ["/*+*/", "/*+ */"],
]);
/** A token of a shape: a name in quotes, in which quotes and backslashes are doubled, or whatever reaches to a blank. */
const token = /"((?:[^"\\]|""|\\\\|\\x[0-9a-f]{2})*)"(?= |$)|[^ ]+/gy;

/** Equal where statements are of one shape; of what has no shape, where they are equal. */
export function shapeKey({ sql, dialect, session }: Statement): string {
  const { shapeSha256, neverKnown } = lex(sql, { dialect, session });
  return neverKnown
    ? `${dialect} ${typeof sql === "string" ? sql : Buffer.from(sql).toString("latin1")}`
    : shapeSha256;
}

/**
 * One statement with numbers for literals and one with texts, since a shape does not say which they were. Empty: the
 * shape cannot be written as a statement.
 */
export function statementsOf(shape: string, dialect: Dialect, shapeSha256: string): Buffer[] {
  return [(literal: number) => String(literal), (literal: number) => `'${literal}'`].flatMap(
    spell => statementOf(shape, dialect, shapeSha256, spell) ?? [],
  );
}

/** A parameter of a prepared statement, as its dialect writes it: `?`, or `$1`, `$2`, … */
function parametersOf(dialect: Dialect): () => string {
  let count = 0;
  return () => (dialect === "mysql" ? "?" : `$${++count}`);
}

/**
 * A statement of a profile's template (drift/tokens.ts), and its shape. What the template folded away is not in it, so
 * others of its statements may have other shapes. Null: it does not read back as these words, or is never known by its
 * shape, so what is said of it would not be said of the template.
 */
export function statementOfTemplate(
  words: readonly string[],
  dialect: Dialect,
): { sql: Buffer; shapeSha256: string } | null {
  const reading = { dialect, session: defaultSession(dialect) };
  const quote = dialect === "mysql" ? "`" : '"';
  const parameter = parametersOf(dialect);
  const texts = words.map(word => {
    if (word === "?") return "1";
    if (word === ":?") return parameter();
    if (word.length > 1 && word.startsWith('"') && word.endsWith('"'))
      return `${quote}${word.slice(1, -1)}${quote}`;
    return comments.get(word) ?? word;
  });
  const sql = Buffer.from(texts.join(" "));
  const { shapeSha256, neverKnown } = lex(sql, reading);
  const read = driftTokens(sql, reading).words;
  const isTemplate = read.length === words.length && read.every((word, at) => word === words[at]);
  return neverKnown || !isTemplate ? null : { sql, shapeSha256 };
}

function statementOf(
  shape: string,
  dialect: Dialect,
  shapeSha256: string,
  spell: (literal: number) => string,
): Buffer | null {
  const parts: Buffer[] = [];
  let literal = 0;
  const parameter = parametersOf(dialect);
  let at = 0;
  token.lastIndex = 0;
  for (let found = token.exec(shape); found; found = token.exec(shape)) {
    const [text, name] = found;
    at = token.lastIndex + 1;
    token.lastIndex = at;
    parts.push(textOf(text, name));
  }
  if (at < shape.length) return null;
  const sql = Buffer.concat(parts.flatMap(part => [part, Buffer.from(" ")]).slice(0, -1));
  return lex(sql, { dialect, session: defaultSession(dialect) }).shapeSha256 === shapeSha256 ? sql : null;

  function textOf(text: string, name: string | undefined): Buffer {
    if (name !== undefined) {
      const quote = dialect === "mysql" ? "`" : '"';
      const plain = unescaped(name).toString("latin1");
      return Buffer.from(`${quote}${plain.replaceAll(quote, quote + quote)}${quote}`, "latin1");
    }
    switch (text) {
      case "?":
      case "?!":
        return Buffer.from(spell(++literal));
      case "?=":
        return Buffer.from(spell(literal));
      case ":?":
        return Buffer.from(parameter());
      default: {
        const held = /^\{(\d+)\.(\d+)\.(\d+)\}$/.exec(text);
        if (held) return Buffer.from(heldText(Number(held[1]), Number(held[2]), Number(held[3])));
        const comment = comments.get(text);
        return comment === undefined ? unescaped(text) : Buffer.from(comment);
      }
    }
  }

  /** What a list held back before something that is no literal (`enum sql_fold`): commas, part of a row, a sign. */
  function heldText(where: number, items: number, sign: number): string {
    const before: Record<number, string> = { 4: ",", 9: ",", 10: ", (", 11: ", (" };
    const literals = Array.from({ length: where >= 10 ? items : 0 }, () => spell(++literal));
    const row = literals.join(" , ") + (where === 10 && items > 0 ? " ," : "");
    return [before[where] ?? "", row, sign === 0 ? "" : String.fromCharCode(sign)].filter(Boolean).join(" ");
  }
}

function unescaped(text: string): Buffer {
  const parts = text.split(/(""|\\\\|\\x[0-9a-f]{2})/);
  return Buffer.concat(
    parts.map((part, i) => {
      if (i % 2 === 0) return Buffer.from(part);
      return part.startsWith("\\x") ? Buffer.from(part.slice(2), "hex") : Buffer.from(part.slice(1));
    }),
  );
}
