/**
 * What a connection has set, as the bits of the lexer's SqlSession: whether a backslash escapes, whether a
 * double quote is a name's or a text's, and whether characters may end in a byte that reads as a backslash.
 * Each fact has a bit that says whether it is known; kernel events carry the same bits. Where one is not
 * known, a statement is judged under each state that is still possible.
 *
 * MySQL manual, "Server SQL Modes" and "Character Set Support"; PostgreSQL manual 4.1.2.1 and 24.3.
 */
import { type SqlDialect, SqlSession, sessionBits } from "@picket/native/lexer";
import { err, ok, type Result } from "@picket/shared/result";

/** Bits of SqlSession. */
export type Session = number;

export const UNKNOWN_SESSION: Session = 0;

/** What a server of this dialect starts a session with. */
export function defaultSession(dialect: SqlDialect): Session {
  switch (dialect) {
    case "mysql":
      return sessionBits({ backslashEscapes: true, ansiQuotes: false, charsetUnsafe: false });
    case "pg":
      return sessionBits({ backslashEscapes: false, ansiQuotes: true, charsetUnsafe: false });
  }
}

/** Character sets in which 0x5c or 0x60 may be a character's second byte. */
const unsafeCharacterSets =
  /^(?:gbk|cp936|gb18030|big5|big5_hkscs|big5hkscs|sjis|cp932|shift_jis|shiftjis|shift_jis_2004|johab|uhc|cp949|win949)$/;
const ansiModes = /\b(?:ANSI_QUOTES|ANSI|DB2|MAXDB|MSSQL|ORACLE|POSTGRESQL)\b/i;
const characterSet =
  /\b(?:NAMES|CHARACTER\s+SET|CHARSET|character_set_client|client_encoding)\b\s*(?:=|TO\b)?\s*['"]?(\w+)/i;
const sqlMode = /\bsql_mode\s*:?=\s*(?:'([^']*)'|"([^"]*)"|([A-Z_,]+))/i;
const conformingStrings = /\bstandard_conforming_strings\s*(?:=|TO\b)\s*['"]?(\w+)/i;

/**
 * Reads what a session has set from its SET statements: `SET NAMES gbk; SET sql_mode='ANSI_QUOTES'`. Absent
 * means the server's defaults, `unknown` that nothing is known.
 */
export function parseSession(dialect: SqlDialect, text: string | undefined): Result<Session, string> {
  if (text === undefined || text.trim() === "") return ok(defaultSession(dialect));
  if (text.trim().toLowerCase() === "unknown") return ok(UNKNOWN_SESSION);
  let session = defaultSession(dialect);
  let understood = false;
  const set = (bit: number, on: boolean) => {
    session = on ? session | bit : session & ~bit;
    understood = true;
  };
  const charset = characterSet.exec(text)?.[1];
  if (charset) set(SqlSession.CHARSET_UNSAFE, unsafeCharacterSets.test(charset.toLowerCase()));
  switch (dialect) {
    case "mysql": {
      const mode = sqlMode.exec(text);
      if (!mode) break;
      const modes = mode[1] ?? mode[2] ?? mode[3] ?? "";
      set(SqlSession.NO_BACKSLASH, /\bNO_BACKSLASH_ESCAPES\b/i.test(modes));
      set(SqlSession.ANSI_QUOTES, ansiModes.test(modes));
      break;
    }
    case "pg": {
      const conforming = conformingStrings.exec(text)?.[1];
      if (conforming) set(SqlSession.NO_BACKSLASH, !/^(?:off?|false|no|0|f|n)$/i.test(conforming));
      break;
    }
  }
  if (understood) return ok(session);
  const example =
    dialect === "mysql" ? "SET NAMES gbk; SET sql_mode='ANSI_QUOTES'" : "SET standard_conforming_strings=off";
  return err(
    `session ${JSON.stringify(text.slice(0, 60))} sets nothing that changes how ${dialect} reads a statement; write for example ${example}, or unknown`,
  );
}
