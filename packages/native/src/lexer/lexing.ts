import { randomBytes } from "node:crypto";
import type { native } from "./native.ts";

export type SqlDialect = "mysql" | "pg";

/** The secret of a node's fingerprints: drawn at each boot, never logged, never sent. `key` is odd. */
export interface HashKey {
  key: bigint;
  start: bigint;
}

export interface LexOptions {
  dialect: SqlDialect;
  /** Bits of SqlSession; see sessionBits. Left out: nothing is known. */
  session?: number | undefined;
  key?: HashKey | undefined;
}

export type Sql = Uint8Array | string;

export function randomHashKey(): HashKey {
  const bytes = randomBytes(16);
  return { key: bytes.readBigUInt64LE(0) | 1n, start: bytes.readBigUInt64LE(8) };
}

/** Where no key is given: good for shapes and tokens, whose result does not depend on it. */
const noSecret: HashKey = { key: 0x9e3779b97f4a7c15n, start: 0xcbf29ce484222325n };

export const dialectNumber = (dialect: SqlDialect): number => (dialect === "mysql" ? 1 : 2);

export const sqlBytes = (sql: Sql): Uint8Array => (typeof sql === "string" ? Buffer.from(sql) : sql);

/** The arguments that every function of the addon begins with. */
export function lexingOf(
  sql: Sql,
  { dialect, session = 0, key = noSecret }: LexOptions,
): Parameters<typeof native.shape> {
  return [sqlBytes(sql), dialectNumber(dialect), session, key.key, key.start];
}
