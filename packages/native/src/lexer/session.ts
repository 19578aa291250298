/**
 * What is known of a database session, as bits of `enum sql_session`: each fact has a bit that says whether
 * it is known. Nothing known is a valid answer; statements whose lexing depends on it are then never known.
 */
export const SqlSession = {
  ESCAPES_KNOWN: 1,
  /** NO_BACKSLASH_ESCAPES; standard_conforming_strings=on. */
  NO_BACKSLASH: 2,
  QUOTES_KNOWN: 4,
  ANSI_QUOTES: 8,
  CHARSET_KNOWN: 16,
  /** A trail byte may be a backslash or a backtick: GBK, Big5, SJIS. */
  CHARSET_UNSAFE: 32,
} as const;

export interface SessionFacts {
  backslashEscapes?: boolean | undefined;
  ansiQuotes?: boolean | undefined;
  charsetUnsafe?: boolean | undefined;
}

/** A fact left out is unknown. */
export function sessionBits({ backslashEscapes, ansiQuotes, charsetUnsafe }: SessionFacts): number {
  let bits = 0;
  if (backslashEscapes !== undefined)
    bits |= SqlSession.ESCAPES_KNOWN | (backslashEscapes ? 0 : SqlSession.NO_BACKSLASH);
  if (ansiQuotes !== undefined) bits |= SqlSession.QUOTES_KNOWN | (ansiQuotes ? SqlSession.ANSI_QUOTES : 0);
  if (charsetUnsafe !== undefined)
    bits |= SqlSession.CHARSET_KNOWN | (charsetUnsafe ? SqlSession.CHARSET_UNSAFE : 0);
  return bits;
}
