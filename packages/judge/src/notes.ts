/**
 * Which comments are people's notes and tools' tags: `-- only open ones`, page:profile in brackets. Rules about comments
 * look at the place of one and not at its text, since a shape holds no text. But what an injection comments away is
 * the rest of the application's statement, so it holds a quote, an operator or a clause; and where comments stand for
 * blanks, no blank stands beside them. A note has neither, and swallows nothing that a statement could go on with.
 */
import { tokenize } from "@picket/native/lexer";
import type { Lexing } from "./matching.ts";

/** Rules that a note may meet. */
export const aboutComments: ReadonlySet<string> = new Set(["trailing-comment", "comment-between"]);

const opener = /^(?:--|#|\/\*)/;
const closer = /\*\/$/;
/** A word at least, and nothing but words, numbers and what stands between them in a sentence (or in brackets). */
const sentence = /^\s+(?=.*[a-z]{2})(?:[\w\s.,:!?@/&+%-]|\([\w\s.,:-]+\))*$/is;
/** How a statement goes on in words alone. */
const clause =
  /^\s*(?:and|or|xor|asc|desc|from|as|is|in|not|on|set|values|like|between)\b|\b(?:order|group)\s+by\b|\b(?:limit|offset)\s+\d|\b(?:having|union|where|select|returning)\b/i;
/** `application:Shop,action:show`, `route='%2Fpolls',framework='x'`. */
const tags = /^\s*:?[\w.-]+(?:\s*[:=]\s*'?[\w%./:-]*'?)?(?:\s*,\s*[\w.-]+\s*[:=]\s*'?[\w%./:-]*'?)*\s*$/;
const blank = /\s/;

export function hasOnlyNotes({ sql, dialect, session }: Lexing): boolean {
  const bytes =
    typeof sql === "string" ? Buffer.from(sql) : Buffer.from(sql.buffer, sql.byteOffset, sql.length);
  const at = (offset: number) => bytes.toString("latin1", offset, offset + 1);
  return tokenize(sql, { dialect, session }).every(({ kind, text, start, end }) => {
    if (kind !== "comment" || text.startsWith("/*+")) return true;
    if (start > 0 && !blank.test(at(start - 1))) return false;
    if (end < bytes.length && !/[\s,;)]/.test(at(end))) return false;
    return isNote(text);
  });
}

/** The whole comment, with what opens and closes it. */
export function isNote(comment: string): boolean {
  const inner = comment.replace(opener, "").replace(closer, "");
  return (
    (sentence.test(inner) && !clause.test(inner)) ||
    (comment.startsWith("/*") && tags.test(inner) && /[a-z]{2}/i.test(inner))
  );
}
