/**
 * Patterns that look like SQL (docs/patterns.md): `... OR $X = $X`. Each is translated to patterns over tokens
 * (docs/token-rules.md), so that one table holds all rules and the C that runs it needs to know nothing of this
 * language. What the automaton cannot do is refused here, with what to write instead.
 */
import { err, ok, type Result } from "@picket/shared/result";

export type SqlPatternProblem = {
  /** Counts from 0. */
  character: number;
  message: string;
  hint: string | null;
};

/** A pattern over tokens, and for each of its characters where it came from. */
export type Translated = { tokens: string; origin(column: number): number };

type Element = { at: number } & (
  | { kind: "text"; tokens: string }
  | { kind: "gap"; max: string }
  /** `single`: it stands between two uses of a metavariable, and has to be one token. */
  | { kind: "hole"; name: string; only: string | null; called: boolean; single?: true }
  | { kind: "choice"; options: Element[][]; optional: boolean }
);

const lexeme =
  /\s*(?:(\.\.\.)(\d*)|\$([A-Z][A-Z0-9_]*|_)(?::([A-Za-z]+))?(?![a-z\w])|(\$\d+|\?)|(--|#|\/\*(?:[^*]|\*(?!\/))*\*\/)|([A-Za-z_][\w$]*)|(\d[\w.]*|\.\d\w*|'[^']*'?)|(["`])|([^\s]))/y;

const CHARACTERS_MAX = 4_096;
const DEPTH_MAX = 8;
/** Uses of a metavariable are compared over at most so many tokens (PICKET_RULES_DISTANCE_MAX). */
const REPEATED_MAX = 3;

class Problem extends Error {
  readonly problem: SqlPatternProblem;
  constructor(character: number, message: string, hint: string | null = null) {
    super(message);
    this.problem = { character, message, hint };
  }
}

/** More than one where a repeated metavariable may be a qualified name: `id = id` and `t.id = t.id`. */
export function translateSqlPattern(pattern: string): Result<Translated[], SqlPatternProblem> {
  try {
    if (pattern.length > CHARACTERS_MAX)
      throw new Problem(CHARACTERS_MAX, `a pattern has at most ${CHARACTERS_MAX} characters`);
    const elements = trimmed(parse(pattern));
    if (elements.length === 0)
      throw new Problem(0, "the pattern names no token, so it would match everything");
    const repeated = repeatedHoles(elements);
    if (repeated.length > REPEATED_MAX)
      throw new Problem(0, `at most ${REPEATED_MAX} metavariables may be used more than once`);
    const ways = 1 << repeated.length;
    return ok(
      Array.from({ length: ways }, (_, way) =>
        write(
          elements,
          new Map(
            repeated.map(({ name, literals }, bit) => [
              name,
              { literals, qualified: (way & (1 << bit)) !== 0 },
            ]),
          ),
        ),
      ),
    );
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    return err(thrown.problem);
  }
}

function parse(pattern: string): Element[] {
  let at = 0;
  return sequence(null, 0).elements;

  function sequence(opened: number | null, depth: number): { elements: Element[]; closed: "}" | "|" } {
    if (depth > DEPTH_MAX) throw new Problem(opened ?? 0, `braces are nested deeper than ${DEPTH_MAX}`);
    const elements: Element[] = [];
    for (;;) {
      lexeme.lastIndex = at;
      const found = lexeme.exec(pattern);
      if (!found) {
        if (opened !== null) throw new Problem(opened, 'this choice lacks its "}"');
        return { elements, closed: "}" };
      }
      const [whole, gap, max, hole, only, placeholder, comment, word, literal, quote, mark] = found;
      const start = at + whole.length - whole.trimStart().length;
      at += whole.length;
      const text = (tokens: string): Element => ({ kind: "text", tokens, at: start });
      if (gap) elements.push({ kind: "gap", max: max ?? "", at: start });
      else if (hole) elements.push(holeAt(hole, only ?? null, start));
      else if (placeholder) elements.push(text("PLACEHOLDER"));
      else if (comment) elements.push(text(comment.startsWith("/*") ? "COMMENT" : "LINE_COMMENT"));
      else if (word) elements.push(text(wordAt(word, start)));
      else if (literal)
        throw new Problem(
          start,
          `${literal.length > 20 ? "this literal" : literal} is a value, and a shape holds no values`,
          "write $X for a literal or a name; twice the same $X is twice the same: $X = $X",
        );
      else if (quote)
        throw new Problem(start, "a quoted name", "write it without quotes: the word stands for both");
      else if (mark === "{") elements.push(choiceAt(start, depth));
      else if (mark === "}" || mark === "|") {
        // `||` is an operator; one bar parts the options of a choice.
        if (mark === "|" && pattern[at] === "|") {
          at += 1;
          elements.push(text("'||'"));
          continue;
        }
        if (opened === null && mark === "|") elements.push(text("'|'"));
        else if (opened === null) throw new Problem(start, 'no choice is open here: "{" is missing');
        else return { elements, closed: mark };
      } else if (mark === "$")
        throw new Problem(
          start,
          "a metavariable is $ and a name in capitals",
          "$X, $TABLE; $_ is any one token",
        );
      else if (mark === "'" || mark === undefined || !/^[!-~]$/.test(mark))
        throw new Problem(start, `${JSON.stringify(mark)} is no mark of SQL`, "words are ASCII");
      else elements.push(text(`'${mark}'`));
    }
  }

  function choiceAt(start: number, depth: number): Element {
    const options: Element[][] = [];
    for (;;) {
      const { elements, closed } = sequence(start, depth + 1);
      if (elements.length === 0) throw new Problem(start, "an option of this choice is empty");
      options.push(elements);
      if (closed === "}") break;
    }
    const optional = pattern[at] === "?";
    if (optional) at += 1;
    return { kind: "choice", options, optional, at: start };
  }

  function holeAt(name: string, only: string | null, start: number): Element {
    if (only !== null && !/^(?:LITERAL|NAME|OPERATOR|WORD)$/.test(only))
      throw new Problem(
        start,
        `"${only}" is no kind of token`,
        "$X:LITERAL, $X:NAME, $X:WORD or $X:OPERATOR",
      );
    return { kind: "hole", name, only, called: /^\s*\(/.test(pattern.slice(at, at + 64)), at: start };
  }
}

/** A word of the token language in capitals would be a metaclass there. */
function wordAt(word: string, start: number): string {
  if (word.length > 64) throw new Problem(start, "a word has at most 64 characters");
  return word.toLowerCase();
}

/** A match may begin and end anywhere, so a gap at either end says nothing. */
function trimmed(elements: Element[]): Element[] {
  const first = elements.findIndex(({ kind }) => kind !== "gap");
  const last = elements.findLastIndex(({ kind }) => kind !== "gap");
  return first < 0 ? [] : elements.slice(first, last + 1);
}

function flat(elements: readonly Element[]): Element[] {
  return elements.flatMap(element => (element.kind === "choice" ? element.options.flatMap(flat) : element));
}

/** Of a metavariable that is used more than once: whether its uses may be literals. */
type Repeated = { name: string; literals: boolean };
type Written = { literals: boolean; qualified: boolean };

function repeatedHoles(elements: readonly Element[]): Repeated[] {
  const all = flat(elements);
  const uses = new Map<string, number[]>();
  for (const [index, element] of all.entries())
    if (element.kind === "hole" && element.name !== "_")
      uses.set(element.name, [...(uses.get(element.name) ?? []), index]);
  const repeated = [...uses].filter(([, indices]) => indices.length > 1);
  return repeated.map(([name, indices]) => {
    const between = all.slice(indices[0], indices.at(-1));
    const gap = between.find(({ kind }) => kind === "gap");
    if (gap)
      throw new Problem(
        gap.at,
        `"..." stands between two uses of $${name}, and what a metavariable held is known for 7 tokens only`,
        "write out what stands between ($_ is any one token), or give the second use another name",
      );
    for (const element of between) if (element.kind === "hole") element.single = true;
    // A shape says of two literals whether they are equal only where an operator stands between them.
    const literals = indices.every(
      (index, i) => i === 0 || isOperator(all.slice(indices[i - 1]! + 1, index)),
    );
    const only = indices
      .map(index => all[index])
      .find(hole => hole?.kind === "hole" && hole.only === "LITERAL");
    if (only && !literals)
      throw new Problem(
        only.at,
        `whether two literals are equal is known only where an operator stands between them, as in $${name} = $${name}`,
        "let it be a name, or give the second use another name",
      );
    return { name, literals };
  });
}

const operator = /^'(?:[!%&*+\-/<=>^|~]+)'$|^(?:like|ilike|rlike|regexp|div|mod|xor)$/;

function isOperator(elements: readonly Element[]): boolean {
  return (
    elements.length >= 1 &&
    elements.length <= 3 &&
    elements.every(element => element.kind === "text" && operator.test(element.tokens))
  );
}

function write(elements: readonly Element[], repeated: ReadonlyMap<string, Written>): Translated {
  const pieces: { text: string; at: number }[] = [];
  const add = (text: string, at: number) => pieces.push({ text, at });
  const walk = (list: readonly Element[]) => {
    for (const element of list)
      switch (element.kind) {
        case "text":
          add(element.tokens, element.at);
          break;
        case "gap":
          add(`...${element.max}`, element.at);
          break;
        case "hole":
          add(holeTokens(element, repeated.get(element.name)), element.at);
          break;
        case "choice": {
          add(element.optional ? "[" : "(", element.at);
          for (const [index, option] of element.options.entries()) {
            if (index > 0) add("|", element.at);
            walk(option);
          }
          add(element.optional ? "]" : ")", element.at);
          break;
        }
      }
  };
  walk(elements);
  const starts: number[] = [];
  let tokens = "";
  for (const { text } of pieces) {
    starts.push(tokens.length);
    tokens += `${text} `;
  }
  return {
    tokens: tokens.trimEnd(),
    origin: column => pieces[starts.findLastIndex(start => start <= column)]?.at ?? 0,
  };
}

/** A metavariable that is used once is one operand; a repeated one is compared, token by token. */
function holeTokens(
  { name, only, called, single }: Extract<Element, { kind: "hole" }>,
  repeated: Written | undefined,
): string {
  if (name === "_") return only ?? "ANY";
  if (!repeated) {
    if (only === "LITERAL" || only === "OPERATOR" || only === "WORD") return only;
    const name = single ? "NAME" : "NAME ['.' NAME ['.' NAME]]";
    return called || only === "NAME" ? name : `(LITERAL | PLACEHOLDER | ${name})`;
  }
  const variable = `$${name.toLowerCase()}`;
  if (repeated.qualified) return `$q_${name.toLowerCase()}:NAME '.' ${variable}:NAME`;
  if (called || !repeated.literals) return `${variable}:NAME`;
  return only === null ? variable : `${variable}:${only}`;
}
