import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/*
 * The addon's own surface (src/lexer/addon.cc), typed. Only the files beside this one use it.
 */

type Lexing = [sql: Uint8Array, dialect: number, session: number, key: bigint, start: bigint];

export interface Native {
  shape(...lexing: Lexing): [fingerprint: bigint, danger: number, shape: string];
  /** Five numbers a token: kind, start, end, mark, whether it is a number. */
  tokens(...lexing: Lexing): Uint32Array;
  redact(...lexing: Lexing): Buffer;
}

// The same two steps up from src/lexer and from dist/lexer.
const addonPath = fileURLToPath(new URL("../../build/Release/picket_lexer.node", import.meta.url));

function load(): Native {
  try {
    return createRequire(import.meta.url)(addonPath) as Native;
  } catch (cause) {
    throw new Error(`the native addon ${addonPath} cannot be loaded: run "npm run build"`, { cause });
  }
}

export const native = load();
