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
  Rules: new (table: Uint32Array) => NativeRules;
  judgeBatch(
    ...args: [
      ...Lexing,
      offsets: Uint32Array,
      rules: NativeRules | undefined,
      stepsMax: number,
      fingerprints: BigUint64Array,
      danger: Uint32Array,
      firstRule: Int32Array,
    ]
  ): void;
}

export interface NativeRules {
  /** Whether its steps were used up (0 or 1), then three numbers a rule that is met: index, start, end. */
  match(sql: Uint8Array, dialect: number, session: number, stepsMax: number): number[];
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
