import { type LexOptions, lexingOf, type Sql, sqlBytes } from "./lexing.ts";
import { native } from "./native.ts";

/** `enum sql_token`, by number; "held" never leaves the lexer as a token. */
const kinds = ["none", "word", "quoted", "literal", "placeholder", "punctuation", "comment"] as const;
export type TokenKind = Exclude<(typeof kinds)[number], "none">;

export interface Token {
  kind: TokenKind;
  /** Byte offsets; `end` is the first byte after it. */
  start: number;
  end: number;
  text: string;
}

/** Every token of the statement in order, comments included. */
export function tokenize(sql: Sql, options: LexOptions): Token[] {
  const bytes = sqlBytes(sql);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows = native.tokens(...lexingOf(bytes, options));
  return Array.from({ length: rows.length / 5 }, (_, index) => {
    const [kind = 0, start = 0, end = 0] = rows.subarray(index * 5, index * 5 + 3);
    return { kind: kinds[kind] as TokenKind, start, end, text: text.toString("utf8", start, end) };
  });
}

/**
 * The statement with literals as `?` and comments emptied. From where its reading depends on something that
 * is not known of the session, the rest is one `?`: no byte of a literal is left however the server reads it.
 */
export function redact(sql: Sql, options: LexOptions): string {
  return native.redact(...lexingOf(sql, options)).toString("utf8");
}
