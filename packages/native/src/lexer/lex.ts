import * as crypto from "node:crypto";
import { type DangerName, dangerOf } from "./danger.ts";
import { type LexOptions, lexingOf, type Sql } from "./lexing.ts";
import { native } from "./native.ts";

export interface Lexed {
  /** Keyed; only this node can use it. 0n: never known. */
  fingerprint: bigint;
  /** The shape as text. */
  shape: string;
  /** What travels: SHA-256 of algorithm, dialect and shape, in hexadecimal. */
  shapeSha256: string;
  danger: DangerName[];
  neverKnown: boolean;
}

/** Enters every shape's SHA-256; changes whenever a shape's text may. */
export const shapeAlgorithm = "picket-shape-1";

/** The one-shot function came with Node 20.12; it makes no object that the garbage collector has to free. */
const sha256: (text: string) => string = crypto.hash
  ? text => crypto.hash("sha256", text)
  : text => crypto.createHash("sha256").update(text).digest("hex");

/** The shape of a statement (docs/fingerprint.md). */
export function lex(sql: Sql, options: LexOptions): Lexed {
  const [fingerprint, danger, shape] = native.shape(...lexingOf(sql, options));
  const shapeSha256 = sha256(`${shapeAlgorithm}\n${options.dialect}\n${shape}`);
  return { fingerprint, shape, shapeSha256, danger: dangerOf(danger), neverKnown: fingerprint === 0n };
}
