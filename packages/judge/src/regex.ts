/**
 * Users' regular expressions, by RE2 (re2js): time linear in the text whatever the expression, no backtracking. All
 * expressions over the same text are one set and one pass. RE2 itself bounds an expression's size, repetitions and
 * nesting; here the number of characters that are looked at is bounded, too.
 */
import type { Rule } from "@picket/shared/rule-set";
import { RE2JS, RE2JSSyntaxException, RE2Set } from "re2js";

export type RegexSubject = NonNullable<Rule["on"]>;

export type RegexSource = { ruleIndex: number; on: RegexSubject; expressions: readonly string[] };

/** `character` counts from 0 in the expression. */
export type RegexProblem = {
  ruleIndex: number;
  expression: number;
  character: number;
  message: string;
  hint: string | null;
};

export type RegexMatch = {
  ruleIndex: number;
  /** What it looks at, as it looked at it: without literals unless it is about literals. */
  on: RegexSubject;
};

/** All expressions of one subject. */
type RegexSet = { on: RegexSubject; set: RE2Set; rules: readonly number[] };

export type Regexes = {
  /** Whose text has to be prepared. */
  subjects: readonly RegexSubject[];
  /** Indices of the rules that are met. `whole` is false where the text went beyond the bound. */
  match(on: RegexSubject, texts: Iterable<string>): { rules: number[]; whole: boolean };
};

/** Of one statement and subject; a statement with more than that is a probe, like one that ends its steps. */
export const REGEX_CHARACTERS_MAX = 1 << 20;
/** Instructions of RE2's program, of all expressions together. */
const PROGRAM_MAX = 50_000;
/** RE2's automaton is made while it runs; beyond this memory it starts afresh. */
const DFA_BYTES_MAX = 4 << 20;

export function compileRegexes(sources: readonly RegexSource[]): {
  regexes: Regexes;
  problems: RegexProblem[];
} {
  const problems: RegexProblem[] = [];
  const sets = new Map<RegexSubject, { set: RE2Set; rules: number[] }>();
  let instructions = 0;
  for (const { ruleIndex, on, expressions } of sources)
    for (const [expression, text] of expressions.entries()) {
      const checked = check(text);
      if ("message" in checked) {
        problems.push({ ruleIndex, expression, ...checked });
        continue;
      }
      instructions += checked.instructions;
      if (instructions > PROGRAM_MAX) {
        problems.push({
          ruleIndex,
          expression,
          character: 0,
          message: `with this expression all regular expressions together have more than ${PROGRAM_MAX} instructions`,
          hint: "counted repetitions such as {500} are copied out: make them smaller",
        });
        return { regexes: none, problems };
      }
      const { set, rules } = sets.get(on) ?? { set: newSet(), rules: [] };
      sets.set(on, { set, rules });
      rules[set.add(text)] = ruleIndex;
    }
  if (problems.length > 0) return { regexes: none, problems };
  const compiled = [...sets].map(([on, { set, rules }]): RegexSet => {
    set.compile();
    return { on, set, rules };
  });
  return { regexes: regexesOf(compiled), problems };
}

const newSet = () => new RE2Set(RE2Set.UNANCHORED, 0, DFA_BYTES_MAX);

function regexesOf(sets: readonly RegexSet[]): Regexes {
  return {
    subjects: sets.map(({ on }) => on),
    match(on, texts) {
      const found = sets.find(set => set.on === on);
      const met = new Set<number>();
      let left = REGEX_CHARACTERS_MAX;
      let whole = true;
      if (found)
        for (const text of texts) {
          if (text.length > left) whole = false;
          if (left <= 0) break;
          for (const index of found.set.match(text.slice(0, left))) met.add(found.rules[index]!);
          left -= text.length;
        }
      return { rules: [...met].toSorted((a, b) => a - b), whole };
    },
  };
}

const none: Regexes = { subjects: [], match: () => ({ rules: [], whole: true }) };

function check(text: string): { instructions: number } | Omit<RegexProblem, "ruleIndex" | "expression"> {
  try {
    const compiled = RE2JS.compile(text);
    // A set has no memory for what it did not read: an expression that is met by nothing is met by everything.
    if (compiled.matcher("").find())
      return {
        character: 0,
        message: "the expression matches an empty text, so it would match everything",
        hint: "drop the * or ? that lets all of it be absent",
      };
    return { instructions: compiled.matcher("").programSize() };
  } catch (problem) {
    if (!(problem instanceof RE2JSSyntaxException)) throw problem;
    const part = problem.getPattern() ?? "";
    const at = part === "" ? -1 : text.lastIndexOf(part);
    return {
      // RE2 names the part that it did not understand, and not where it stands.
      character: Math.max(at, 0),
      message: `RE2 refuses ${part === "" ? "the expression" : JSON.stringify(cut(part))}: ${problem.getDescription()}`,
      hint: hintFor(part, problem.getDescription()),
    };
  }
}

const cut = (text: string): string => (text.length <= 40 ? text : `${text.slice(0, 39)}…`);

function hintFor(part: string, description: string): string | null {
  if (/^\(\?[=!]|^\(\?<[=!]/.test(part) || (/named capture/.test(description) && /^\(\?<[=!]/.test(part)))
    return "RE2 has no look-ahead and no look-behind; write two rules, or match what stands around it";
  if (/^\\[1-9]/.test(part)) return "RE2 has no back-references; `pattern:` knows $X = $X";
  if (/repeat count/.test(description)) return "a repetition has at most 1000 copies, nested ones together";
  if (/nested repetition/.test(description)) return "one of * + ? is enough";
  return null;
}
