// Random statements for comparing lexers: seeds of the fingerprint corpus, mutated with what lexers differ in.
import { readFileSync } from "node:fs";

export type Random = (below: number) => number;
const statementBytesMax = 700;

/** Small, seeded (xorshift32), so that a failure can be repeated. */
export function randomOf(seed: number) {
  let state = seed | 1;
  return (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const seeds = readFileSync(new URL("../corpus/fingerprint/shapes.txt", import.meta.url), "utf8")
  .split("\n")
  .flatMap(line => /^(?:mysql|pg) \S+: (.*)$/.exec(line)?.[1] ?? [])
  .map(text => text.replaceAll("\\n", "\n").replaceAll("\\\\", "\\"));
const pieces = [
  ..."' \" ` \\ -- # /* */ /*! $$ $a$ ; , ( ) = 1 0x 0b . e N' x' E' ? $1 :: \n \r \t \0 \xa0 \xff é".split(
    " ",
  ),
  ...[
    "in (1,2)",
    "values (1,'a'),(2,'b')",
    "union select",
    "savepoint sp1",
    "set",
    "do",
    "prepare",
    "or 1=1",
  ],
];

export function statementOf(random: Random): Buffer {
  let text = seeds[random(seeds.length)] ?? "";
  if (random(4) === 0)
    text = Array.from({ length: 1 + random(30) }, () => pieces[random(pieces.length)]).join("");
  for (let i = random(6); i > 0; i--) {
    const at = random(text.length + 1);
    const piece = random(3) === 0 ? String.fromCharCode(random(256)) : (pieces[random(pieces.length)] ?? "");
    text = text.slice(0, at) + piece + text.slice(at + (random(2) ? random(4) : 0));
  }
  if (random(16) === 0) text = text.repeat(1 + random(12));
  return Buffer.from(text, random(2) ? "latin1" : "utf8").subarray(0, statementBytesMax);
}

const inside = "' '' '' \\' \\' \" \\ \\\\ - -- # / * /* */ a é \n \r $ ; e ( ) 0 x \t".split(" ");
const trivia = [
  " ",
  " ",
  "\n",
  "\t",
  "\r",
  "\v",
  "",
  "-- § \n",
  "--§\n",
  "# §\n",
  "/*§*/",
  "/* /*§*/ */",
  "--\x01§\n",
];
const operators = [", ", ", ", " = ", "+", "-", "--", "||", " AND ", " LIKE ", "/", "*", " "];
const atoms = [
  ...[
    "'§'",
    "'§'",
    "'§'",
    '"§"',
    "E'§'",
    "N'§'",
    "e'§'\n'§'",
    "'§'\n'§'",
    "x'1f'",
    "b'01'",
    "`§`",
    "U&'§'",
    "_utf8'§'",
  ],
  ...[
    "1",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "0x1f",
    "null",
    "a",
    "@x",
    "@@y",
    "(1)",
    "f('§')",
    "1 in (1, '§', 2)",
    "t.c",
  ],
];

/** A list of expressions that has a chance to be grammatical: literals and comments of all kinds with what could end them. */
export function expressionsOf(random: Random): string {
  const one = (list: string[]) => list[random(list.length)] ?? "";
  const filled = (template: string) =>
    template.replace(/§/g, () => Array.from({ length: random(5) }, () => one(inside)).join(""));
  let text = "";
  for (let i = 1 + random(4); i > 0; i--)
    text += filled(one(trivia)) + filled(one(atoms)) + filled(one(trivia)) + (i > 1 ? one(operators) : "");
  return text;
}
