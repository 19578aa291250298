/**
 * The symbols that tokens are told by: fixed ones for classes of tokens, then one for each mark and each word that
 * some pattern names. Whatever no pattern names shares the symbol of its class.
 */
import type { Atom, Metaclass, Node } from "./pattern.ts";
import { operatorMarks, operatorWords, reservedWords } from "./reserved.ts";

/** `enum picket_symbol` of core/token_rules.h. */
export const fixedSymbols = {
  start: 0,
  end: 1,
  comment: 2,
  lineComment: 3,
  versionComment: 4,
  placeholder: 5,
  number: 6,
  string: 7,
  quoted: 8,
  word: 9,
  operator: 10,
  punctuation: 11,
  semicolon: 12,
  named: 13,
} as const;

export interface Symbols {
  count: number;
  marks: ReadonlyMap<string, number>;
  words: ReadonlyMap<string, number>;
  /** What an atom stands for. */
  of(atom: Atom): number[];
  /** Every symbol that is a token within a statement. */
  tokens: number[];
}

export function symbolsOf(patterns: Node[]): Symbols {
  const marks = new Map<string, number>([[";", fixedSymbols.semicolon]]);
  const words = new Map<string, number>();
  let count: number = fixedSymbols.named;
  for (const atom of patterns.flatMap(atomsIn)) {
    if (atom.kind === "mark" && !marks.has(atom.mark)) marks.set(atom.mark, count++);
    if (atom.kind === "word" && !words.has(atom.word)) words.set(atom.word, count++);
  }
  for (const word of operatorWords) if (!words.has(word)) words.set(word, count++);
  const reserved = count++;
  for (const word of reservedWords) if (!words.has(word)) words.set(word, reserved);

  const wordSymbols = [...new Set(words.values())];
  const reservedSymbols = new Set(reservedWords.map(word => words.get(word)));
  const classes: Record<Exclude<Metaclass, "ANY">, number[]> = {
    LITERAL: [fixedSymbols.number, fixedSymbols.string],
    NUMBER: [fixedSymbols.number],
    STRING: [fixedSymbols.string],
    NAME: [
      fixedSymbols.quoted,
      fixedSymbols.word,
      ...wordSymbols.filter(symbol => !reservedSymbols.has(symbol)),
    ],
    WORD: [fixedSymbols.word, ...wordSymbols],
    OPERATOR: [
      fixedSymbols.operator,
      ...[...marks].flatMap(([mark, symbol]) => (operatorMarks.includes(mark) ? [symbol] : [])),
      ...operatorWords.map(word => words.get(word)!),
    ],
    COMMENT: [fixedSymbols.comment, fixedSymbols.lineComment, fixedSymbols.versionComment],
    LINE_COMMENT: [fixedSymbols.lineComment],
    VERSION_COMMENT: [fixedSymbols.versionComment],
    PLACEHOLDER: [fixedSymbols.placeholder],
    END: [fixedSymbols.end],
    START: [fixedSymbols.start],
  };
  const tokens = Array.from(
    { length: count - fixedSymbols.placeholder },
    (_, i) => i + fixedSymbols.placeholder,
  ).filter(symbol => symbol !== fixedSymbols.semicolon);
  return {
    count,
    marks,
    words,
    tokens,
    of(atom) {
      switch (atom.kind) {
        case "metaclass":
          return atom.metaclass === "ANY" ? tokens : classes[atom.metaclass];
        case "word":
          return [words.get(atom.word)!];
        case "mark":
          return [marks.get(atom.mark)!];
      }
    },
  };
}

function atomsIn(node: Node): Atom[] {
  switch (node.kind) {
    case "token":
    case "variable":
      return node.atoms;
    case "sequence":
      return node.items.flatMap(atomsIn);
    case "choice":
      return node.options.flatMap(atomsIn);
    case "gap":
      return [];
  }
}
