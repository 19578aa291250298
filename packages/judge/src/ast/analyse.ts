/** One statement through its dialect's parser, bounded in size and depth before any parser sees it. */
import type { Dialect } from "@picket/shared/vocabulary";
import { fromMysql } from "./mysql.ts";
import { fromPostgres } from "./postgres.ts";
import { type AstRule, astSignals } from "./signals.ts";

export type Analysis =
  | { kind: "parsed"; rules: AstRule[] }
  /** The server may still accept it: a class of its own, never benign. */
  | { kind: "unparsed" }
  /** Longer or deeper than a parser is asked to read. */
  | { kind: "too-large" };

export const BYTES_MAX = 65_536;
/** Brackets; libpg_query takes 2,000, sqlparser-rs 50 of them. */
export const DEPTH_MAX = 200;

/** Brackets and words that nest, over the whole text: literals make it too high and never too low. */
export function tooLarge(sql: string): boolean {
  if (sql.length > BYTES_MAX) return true;
  let depth = 0;
  for (let i = 0; i < sql.length; i++) {
    const c = sql.charCodeAt(i);
    if (c === 40 || c === 91) {
      if (++depth > DEPTH_MAX) return true;
    } else if ((c === 41 || c === 93) && depth > 0) depth--;
  }
  return false;
}

export type Parser = (sql: string) => unknown;

/** Loads the WASM of one dialect: 1.2 and 3.5 MB, and some 20 to 60 MB once it ran. */
export async function loadParser(dialect: Dialect): Promise<Parser> {
  switch (dialect) {
    case "pg": {
      const { loadModule, parseSync } = await import("libpg-query");
      await loadModule();
      return parseSync;
    }
    case "mysql": {
      const { init, parse } = await import("@guanmingchiu/sqlparser-ts");
      await init();
      return sql => parse(sql, "mysql");
    }
  }
}

export function analyse(parse: Parser, sql: string, dialect: Dialect): Analysis {
  if (tooLarge(sql)) return { kind: "too-large" };
  try {
    const tree = parse(dialect === "mysql" ? withVersions(sql) : sql);
    return { kind: "parsed", rules: astSignals(dialect === "mysql" ? fromMysql(tree) : fromPostgres(tree)) };
  } catch {
    return { kind: "unparsed" };
  }
}

/** What stands in a version comment is code to most servers, and to no parser here. */
const withVersions = (sql: string): string => sql.replace(/\/\*M?!\d{0,6}([^*]*)\*\//g, " $1 ");
