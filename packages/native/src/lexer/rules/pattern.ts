/**
 * Reads a pattern (docs/token-rules.md) into a tree. What one token may be is a choice of metaclasses, words and
 * marks; the compiler turns that into symbols.
 */
export type Metaclass =
  | "LITERAL"
  | "NUMBER"
  | "STRING"
  | "NAME"
  | "WORD"
  | "OPERATOR"
  | "COMMENT"
  | "LINE_COMMENT"
  | "VERSION_COMMENT"
  | "PLACEHOLDER"
  | "END"
  | "START"
  | "ANY";

const metaclasses: ReadonlySet<string> = new Set<Metaclass>([
  "LITERAL",
  "NUMBER",
  "STRING",
  "NAME",
  "WORD",
  "OPERATOR",
  "COMMENT",
  "LINE_COMMENT",
  "VERSION_COMMENT",
  "PLACEHOLDER",
  "END",
  "START",
  "ANY",
]);

export type Atom =
  | { kind: "metaclass"; metaclass: Metaclass }
  | { kind: "word"; word: string }
  | { kind: "mark"; mark: string };

export type Node =
  /** One token that is one of the atoms, or none of them. `exact`: OPERATOR is one mark, not a run of them. */
  | { kind: "token"; atoms: Atom[]; negated: boolean; compare?: Compare; exact?: true }
  | { kind: "variable"; name: string; differs: boolean; atoms: Atom[]; column: number }
  | { kind: "sequence"; items: Node[] }
  | { kind: "choice"; options: Node[] }
  /** Any tokens of the same statement; without a maximum as many as there are. */
  | { kind: "gap"; max?: number };

/** With the token `distance` tokens before. */
export interface Compare {
  distance: number;
  differs: boolean;
}

/** Where a pattern is wrong: the column counts characters from 1. */
export class PatternProblem extends Error {
  readonly column: number;
  constructor(column: number, message: string) {
    super(message);
    this.column = column;
  }
}

const lexeme = /\s*(?:(\.\.\.)(\d*)|\$([a-z]\w*)(?::([A-Za-z]+))?|'([^']*)'|([A-Za-z_][\w$]*)|([^\s]))/y;

interface Lexeme {
  column: number;
  gap?: string;
  variable?: string;
  restriction?: string;
  quoted?: string;
  word?: string;
  mark?: string;
}

const gapMaxMax = 32;
const depthMax = 16;

function* lexemes(pattern: string): Generator<Lexeme> {
  lexeme.lastIndex = 0;
  let at = 0;
  for (let found = lexeme.exec(pattern); found; found = lexeme.exec(pattern)) {
    const column = at + found[0].length - found[0].trimStart().length + 1;
    const [, gap, max, variable, restriction, quoted, word, mark] = found;
    at = lexeme.lastIndex;
    if (gap) yield { column, gap: max ?? "" };
    else if (variable) yield { column, variable, ...(restriction ? { restriction } : {}) };
    else if (quoted !== undefined) yield { column, quoted };
    else if (word) yield { column, word };
    else if (mark) yield { column, mark };
  }
}

export function parsePattern(pattern: string): Node {
  const all = [...lexemes(pattern)];
  let next = 0;
  const peek = () => all[next];
  const end = pattern.length + 1;

  function sequence(closing: string | undefined, depth: number, opened: number): Node {
    if (depth > depthMax) throw new PatternProblem(opened, `groups are nested deeper than ${depthMax}`);
    const options: Node[] = [];
    let items: Node[] = [];
    for (;;) {
      const lexeme = peek();
      if (!lexeme || lexeme.mark === ")" || lexeme.mark === "]" || lexeme.mark === "|") {
        const column = lexeme?.column ?? end;
        if (items.length === 0) throw new PatternProblem(column, "an element is missing here");
        options.push({ kind: "sequence", items });
        items = [];
        if (lexeme?.mark === "|") {
          next++;
          continue;
        }
        if (lexeme?.mark !== closing) {
          if (!lexeme) throw new PatternProblem(opened, `this group lacks its "${closing}"`);
          throw new PatternProblem(
            column,
            closing ? `"${closing}" was meant` : `nothing is open here; a mark is written '${lexeme.mark}'`,
          );
        }
        if (lexeme) next++;
        return options.length === 1 ? options[0]! : { kind: "choice", options };
      }
      items.push(element(depth));
    }
  }

  function element(depth: number): Node {
    const found = all[next++]!;
    const { column } = found;
    if (found.mark === "(") return sequence(")", depth + 1, column);
    if (found.mark === "[") {
      const item = sequence("]", depth + 1, column);
      return { kind: "choice", options: [item, { kind: "sequence", items: [] }] };
    }
    if (found.gap !== undefined) {
      if (found.gap === "") return { kind: "gap" };
      const max = Number(found.gap);
      if (max < 1 || max > gapMaxMax)
        throw new PatternProblem(column, `a counted gap spans 1 to ${gapMaxMax} tokens; "..." has no limit`);
      return { kind: "gap", max };
    }
    if (found.mark === "!") return negation(depth, column);
    if (found.variable !== undefined) return variable(found, false);
    const atoms = atomsOf(found);
    if (atoms.length === 1) return { kind: "token", atoms, negated: false };
    return { kind: "sequence", items: atoms.map(atom => ({ kind: "token", atoms: [atom], negated: false })) };
  }

  function variable({ variable = "", restriction, column }: Lexeme, differs: boolean): Node {
    if (restriction !== undefined && !metaclasses.has(restriction))
      throw new PatternProblem(column, `"${restriction}" is no metaclass; LITERAL or NAME was meant`);
    const classes = restriction ? [restriction as Metaclass] : (["LITERAL", "NAME"] as const);
    return {
      kind: "variable",
      name: variable,
      differs,
      atoms: classes.map(metaclass => ({ kind: "metaclass", metaclass })),
      column,
    };
  }

  function negation(depth: number, column: number): Node {
    const target = peek();
    if (!target)
      throw new PatternProblem(column, `"!" needs the token that must not stand here; the mark is '!'`);
    if (target.mark === "=" && target.column === column + 1)
      throw new PatternProblem(column, `the operator is written '!='; "not an equals sign" is ! =`);
    if (target.variable !== undefined) {
      next++;
      return variable(target, true);
    }
    const node = element(depth);
    const atoms = singleTokens(node);
    if (!atoms)
      throw new PatternProblem(target.column, `"!" stands before one token or a choice of single tokens`);
    const between = atoms.find(atom => atom.kind === "metaclass" && /COMMENT|START|END/.test(atom.metaclass));
    if (between)
      throw new PatternProblem(target.column, "COMMENT, START and END are no tokens that could be missing");
    return { kind: "token", atoms, negated: true };
  }

  function atomsOf({ column, word, quoted, mark }: Lexeme): Atom[] {
    if (word !== undefined) {
      if (metaclasses.has(word)) return [{ kind: "metaclass", metaclass: word as Metaclass }];
      if (word.length > 64) throw new PatternProblem(column, "a word has at most 64 characters");
      return [{ kind: "word", word: word.toLowerCase() }];
    }
    if (quoted !== undefined) {
      if (!/^[!-&(-/:-@[-`{-~]+$/.test(quoted))
        throw new PatternProblem(
          column,
          "only marks stand in quotes; literals are LITERAL, NUMBER or STRING",
        );
      return [...quoted].map(mark => markAtom(mark, column));
    }
    return [markAtom(mark ?? "", column)];
  }

  function markAtom(mark: string, column: number): Atom {
    if (/[0-9]/.test(mark)) throw new PatternProblem(column, "a number is written NUMBER or LITERAL");
    if (mark === "'") throw new PatternProblem(column, "this quote is not closed");
    if (mark === '"' || mark === "`") throw new PatternProblem(column, "a quoted name is written NAME");
    if (mark === "?") throw new PatternProblem(column, "a placeholder is written PLACEHOLDER");
    if (mark === "$") throw new PatternProblem(column, "a variable has a lower-case name: $a");
    if (!/^[!-~]$/.test(mark))
      throw new PatternProblem(column, `"${mark}" is no mark of SQL; words are ASCII`);
    return { kind: "mark", mark };
  }

  if (all.length === 0) throw new PatternProblem(1, "the pattern is empty");
  return sequence(undefined, 0, 1);
}

/** The atoms of a node that always takes exactly one token. */
function singleTokens(node: Node): Atom[] | undefined {
  switch (node.kind) {
    case "token":
      return node.negated ? undefined : node.atoms;
    case "sequence":
      return node.items.length === 1 ? singleTokens(node.items[0]!) : undefined;
    case "choice": {
      const options = node.options.map(singleTokens);
      return options.every(atoms => atoms !== undefined) ? options.flat() : undefined;
    }
    case "variable":
    case "gap":
      return undefined;
  }
}
