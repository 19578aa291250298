/** The lexer as the agent uses it: with this node's hash key, on bytes as the wire had them. */

import { defaultSession } from "@picket/judge/session";
import { dangerOf, type HashKey, lex, redact } from "@picket/native/lexer";
import type { ShapeDigest } from "@picket/shared/ids";
import type { Dialect } from "@picket/shared/vocabulary";

export type Lexing = {
  /** 0n: never known. A session of null is what the server starts with. */
  fingerprint(sql: Buffer, dialect: Dialect, session: number | null): bigint;
  shape(sql: Buffer, dialect: Dialect, session: number | null): ShapeDigest | null;
  /** With its text; null: never known. */
  named(sql: Buffer, dialect: Dialect, session: number | null): { digest: ShapeDigest; text: string } | null;
  redact(sql: Buffer, dialect: Dialect, session: number | null): string;
  dangerNames(mask: number): string[];
};

export function createLexing(key: HashKey): Lexing {
  const options = (dialect: Dialect, session: number | null) => ({
    dialect,
    key,
    session: session ?? defaultSession(dialect),
  });
  const named: Lexing["named"] = (sql, dialect, session) => {
    const { neverKnown, shape, shapeSha256 } = lex(sql, options(dialect, session));
    return neverKnown ? null : { digest: shapeSha256 as ShapeDigest, text: shape };
  };
  return {
    fingerprint: (sql, dialect, session) => lex(sql, options(dialect, session)).fingerprint,
    shape: (sql, dialect, session) => named(sql, dialect, session)?.digest ?? null,
    named,
    redact: (sql, dialect, session) => redact(sql, options(dialect, session)),
    dangerNames: dangerOf,
  };
}
