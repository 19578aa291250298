/** Token rules, compiled: which rules a statement meets, and a node's judgement of many statements at once. */
import { dialectNumber, type HashKey, lexingOf, type Sql, type SqlDialect } from "../lexing.ts";
import { type NativeRules, native } from "../native.ts";
import { compileTable, type PatternError, type RuleSourcePatterns } from "./compile.ts";

export interface Match {
  /** Ids of the rules that are met, in the order of the rules. */
  rules: string[];
  /** Indices of the same rules. */
  indices: number[];
  /** For each of them the bytes of its first match: from the first token to the end of the last one. */
  spans: [start: number, end: number][];
  /** The statement used up its steps, so it was not read to its end. Treat it as a probe. */
  exhausted: boolean;
}

export interface MatchOptions {
  dialect: SqlDialect;
  session?: number | undefined;
  stepsMax?: number | undefined;
}

/** About 0.2 s of work at most; an ordinary statement of 16 MB stays below. */
export const stepsMaxDefault = 100_000_000;

export class TokenRules {
  readonly ids: readonly string[];
  /** What the table of core/token_rules.h holds; other processes on this machine may run it. */
  readonly table: Uint32Array;
  readonly handle: NativeRules;

  constructor(ids: readonly string[], table: Uint32Array) {
    this.ids = ids;
    this.table = table;
    this.handle = new native.Rules(table);
  }

  match(sql: Sql, { dialect, session, stepsMax = stepsMaxDefault }: MatchOptions): Match {
    const [bytes, number, bits] = lexingOf(sql, { dialect, session });
    const [exhausted, ...met] = this.handle.match(bytes, number, bits, stepsMax);
    const rows = Array.from(
      { length: met.length / 3 },
      (_, i) => met.slice(i * 3, i * 3 + 3) as [number, number, number],
    );
    return {
      rules: rows.map(([rule]) => this.ids[rule]!),
      indices: rows.map(([rule]) => rule),
      spans: rows.map(([, start, end]) => [start, end]),
      exhausted: exhausted === 1,
    };
  }
}

export function compileTokenRules(
  sources: readonly RuleSourcePatterns[],
): { ok: true; value: TokenRules } | { ok: false; error: PatternError[] } {
  const table = compileTable(sources);
  if (!table.ok) return table;
  return {
    ok: true,
    value: new TokenRules(
      sources.map(({ id }) => id),
      table.value,
    ),
  };
}

export interface Judged {
  /** 0n: never known. */
  fingerprints: BigUint64Array;
  /** Bits of `enum sql_danger`; dangerOf names them. */
  danger: Uint32Array;
  /** Index of the first rule that is met; noRule; exhaustedRule. */
  firstRule: Int32Array;
}

export const noRule = -1;
export const exhaustedRule = -2;

export interface JudgeBatchOptions {
  dialect: SqlDialect;
  session?: number | undefined;
  key: HashKey;
  rules?: TokenRules | undefined;
  stepsMax?: number | undefined;
}

/**
 * Statement i is the bytes from offsets[i] to offsets[i + 1]; so there is one offset more than there are
 * statements.
 */
export function judgeBatch(
  statements: Uint8Array,
  offsets: Uint32Array,
  { dialect, session = 0, key, rules, stepsMax = stepsMaxDefault }: JudgeBatchOptions,
): Judged {
  const count = Math.max(0, offsets.length - 1);
  const judged: Judged = {
    fingerprints: new BigUint64Array(count),
    danger: new Uint32Array(count),
    firstRule: new Int32Array(count).fill(noRule),
  };
  native.judgeBatch(
    statements,
    dialectNumber(dialect),
    session,
    key.key,
    key.start,
    offsets,
    rules?.handle,
    stepsMax,
    judged.fingerprints,
    judged.danger,
    judged.firstRule,
  );
  return judged;
}

export type { PatternError, RuleSourcePatterns };
