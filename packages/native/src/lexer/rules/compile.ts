/** From patterns to the table that core/token_rules.c runs; its header says what the table holds. */
import type { SqlDialect } from "../lexing.ts";
import { type Automaton, automatonOf, type Latch, type Position } from "./automaton.ts";
import { type Node, PatternProblem, parsePattern } from "./pattern.ts";
import { operatorMarks, reservedWords } from "./reserved.ts";
import { fixedSymbols, type Symbols, symbolsOf } from "./symbols.ts";
import { resolveVariables } from "./variables.ts";

export interface RuleSourcePatterns {
  id: string;
  patterns: readonly string[];
  /** Left out: both. */
  dialects?: readonly SqlDialect[] | undefined;
}

/** What is wrong with a pattern, and where: the column counts characters from 1. */
export interface PatternError {
  rule: string;
  ruleIndex: number;
  pattern: number;
  column: number;
  message: string;
}

const positionsMax = 8192;
const latchesMax = 4096;
const rulesMax = 4096;
const edgesMax = 262_144;
const none = 0xffff_ffff;

export function compileTable(
  sources: readonly RuleSourcePatterns[],
): { ok: true; value: Uint32Array } | { ok: false; error: PatternError[] } {
  const errors: PatternError[] = [];
  const trees: { rule: number; pattern: number; tree: Node }[] = [];
  const attempt = (ruleIndex: number, pattern: number, act: () => void) => {
    try {
      act();
    } catch (problem) {
      if (!(problem instanceof PatternProblem)) throw problem;
      const { column, message } = problem;
      errors.push({ rule: sources[ruleIndex]!.id, ruleIndex, pattern, column, message });
    }
  };
  if (sources.length > rulesMax)
    errors.push(tooLarge(sources, rulesMax, `there are more than ${rulesMax} rules`));
  for (const [rule, { patterns }] of sources.entries())
    for (const [pattern, text] of patterns.entries())
      attempt(rule, pattern, () => trees.push({ rule, pattern, tree: resolveVariables(parsePattern(text)) }));

  const symbols = symbolsOf(trees.map(({ tree }) => tree));
  const automata: { rule: number; automaton: Automaton }[] = [];
  let size = { positions: 0, latches: 1, edges: 0 };
  for (const { rule, pattern, tree } of trees)
    attempt(rule, pattern, () => {
      const automaton = automatonOf(tree, symbols);
      if ("problem" in automaton) throw new PatternProblem(1, automaton.problem);
      automata.push({ rule, automaton });
      size = {
        positions: size.positions + automaton.positions.length,
        latches: size.latches + automaton.latches.length,
        edges: size.edges + automaton.positions.reduce((sum, { follow }) => sum + follow.size, 0),
      };
      if (size.positions > positionsMax || size.latches > latchesMax || size.edges > edgesMax)
        throw new PatternProblem(1, "with this pattern all rules together are too large for one table");
    });
  if (errors.length > 0) return { ok: false, error: errors };
  return { ok: true, value: writeTable(sources, symbols, automata) };
}

function tooLarge(sources: readonly RuleSourcePatterns[], ruleIndex: number, message: string): PatternError {
  return { rule: sources[ruleIndex]!.id, ruleIndex, pattern: 0, column: 1, message };
}

function writeTable(
  sources: readonly RuleSourcePatterns[],
  symbols: Symbols,
  automata: { rule: number; automaton: Automaton }[],
): Uint32Array {
  const positions = automata.flatMap(({ rule, automaton }) =>
    automaton.positions.map(position => ({ rule, position })),
  );
  const indexOf = new Map<Position, number>(positions.map(({ position }, index) => [position, index]));
  const latches: (Latch | undefined)[] = [
    undefined,
    ...automata.flatMap(({ automaton }) => automaton.latches),
  ];
  const latchIndex = new Map(latches.map((latch, index) => [latch, index]));

  const entries: [position: number, latch: number][][] = Array.from({ length: symbols.count }, () => []);
  const enter = (targets: Set<Position>, latch: number) => {
    for (const target of targets)
      for (const symbol of target.accepts) entries[symbol]!.push([indexOf.get(target)!, latch]);
  };
  for (const { automaton } of automata) {
    enter(automaton.first, 0);
    for (const latch of automaton.latches) enter(latch.follow, latchIndex.get(latch)!);
  }

  const body: number[] = [];
  const headerWords = 20;
  const part = (words: Iterable<number>): number => {
    const at = headerWords + body.length;
    for (const word of words) body.push(word >>> 0);
    return at;
  };

  const words = wordTable(symbols);
  const follows: number[] = [];
  const opens: number[] = [];
  const rows = positions.flatMap(({ rule, position }) => {
    const { dialects } = sources[rule]!;
    const row = [
      position.last ? rule : none,
      dialects ? (dialects.includes("mysql") ? 1 : 0) | (dialects.includes("pg") ? 2 : 0) : 3,
      position.compare ? (position.compare.distance << 2) | (position.compare.differs ? 2 : 1) : 0,
      follows.length,
      position.follow.size,
      opens.length,
      position.opens.size,
    ];
    for (const to of position.follow) follows.push(indexOf.get(to)!);
    for (const latch of position.opens) opens.push(latchIndex.get(latch)!);
    return row;
  });
  const acceptWords = Math.ceil(symbols.count / 32);
  const accepts = positions.flatMap(({ position }) => {
    const bits = new Array<number>(acceptWords).fill(0);
    for (const symbol of position.accepts) bits[symbol >> 5]! |= 1 << (symbol & 31);
    return bits;
  });
  let sum = 0;
  const entryOffsets = [0, ...entries.map(list => (sum += list.length))];

  const header = {
    punctuationAt: part(punctuation(symbols)),
    wordSlots: words.slots,
    wordsAt: part(words.table),
    textsAt: part(words.texts),
    textsBytes: words.textsBytes,
    entriesAt: part(entryOffsets),
    entryListAt: part(entries.flat(2)),
    entryCount: sum,
    positionsAt: part(rows),
    acceptsAt: part(accepts),
    followsAt: part(follows),
    followCount: follows.length,
    opensAt: part(opens),
    openCount: opens.length,
  };
  return Uint32Array.from([
    0x54525031,
    headerWords + body.length,
    sources.length,
    positions.length,
    latches.length,
    symbols.count,
    ...Object.values(header),
    ...body,
  ]);
}

function punctuation(symbols: Symbols): number[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const mark = String.fromCharCode(byte);
    return (
      symbols.marks.get(mark) ??
      (operatorMarks.includes(mark) ? fixedSymbols.operator : fixedSymbols.punctuation)
    );
  });
}

/** Open addressing by the last eight bytes and the length, which the lexer has at hand. */
function wordTable(symbols: Symbols) {
  let slots = 64;
  while (slots < symbols.words.size * 3) slots *= 2;
  const table = new Uint32Array(slots * 6);
  const texts: number[] = [];
  const reserved = new Set(reservedWords);
  for (const [word, symbol] of symbols.words) {
    const bytes = [...Buffer.from(word)];
    const tail = bytes.reduce((all, byte) => BigInt.asUintN(64, (all << 8n) | BigInt(byte)), 0n);
    const hash = BigInt.asUintN(64, (tail ^ BigInt(bytes.length)) * 0x9e3779b97f4a7c15n) >> 32n;
    let slot = Number(hash) & (slots - 1);
    while (table[slot * 6 + 2] !== 0) slot = (slot + 1) & (slots - 1);
    table.set(
      [
        Number(tail & 0xffff_ffffn),
        Number(tail >> 32n),
        bytes.length,
        symbol,
        texts.length,
        reserved.has(word) ? 0 : 1,
      ],
      slot * 6,
    );
    texts.push(...bytes);
  }
  const padded = new Uint8Array(Math.ceil(texts.length / 4) * 4);
  padded.set(texts);
  return { slots, table, texts: new Uint32Array(padded.buffer), textsBytes: texts.length };
}
