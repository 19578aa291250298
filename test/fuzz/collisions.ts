/**
 * Looks for two shapes with one fingerprint under a key that the search draws and the statements know nothing of:
 * what an attacker would need to pass as something honest. Families of statements that differ only where a weak hash
 * would let differences undo each other: names that differ in the highest bits, in order, in length; long chains of
 * two operators; an honest statement with a UNION and filler behind it against everything that was learned.
 *   node --conditions=source --import tsx test/fuzz/collisions.ts [--seconds N]      default 60
 */
import { parseArgs } from "node:util";
import { judgeBatch, randomHashKey, sessionBits } from "@picket/native/lexer";
import { randomOf } from "./lexer-statements.ts";

const FAMILY = 1 << 18;
/** A hash of 64 bits has about FAMILY² / 2^65 pairs of equals by chance in one family: 2 in a billion. */
type Family = { name: string; statement(index: number, salt: string): string };

const bits = (index: number, count: number) => Array.from({ length: count }, (_, bit) => (index >> bit) & 1);
const FAMILIES: Family[] = [
  {
    name: "names that differ in the highest bit of their bytes",
    statement: (index, salt) =>
      `SELECT \`${salt}${String.fromCharCode(...bits(index, 18).map(bit => 0x41 + bit * 0x80))}\` FROM t`,
  },
  {
    name: "names of two blocks of eight in either order, at eighteen places",
    statement: (index, salt) =>
      `SELECT ${bits(index, 18)
        .map(bit => (bit ? "abcdefghijklmnop" : "ijklmnopabcdefgh"))
        .join()} FROM ${salt}`,
  },
  {
    name: "chains of two operators",
    statement: (index, salt) =>
      `SELECT ${salt}${bits(index, 18)
        .map(bit => (bit ? "+a" : "-a"))
        .join("")}`,
  },
  {
    name: "tokens and literals in any order",
    statement: (index, salt) =>
      `SELECT ${salt} ${bits(index, 18)
        .map(bit => (bit ? ",1" : ",b"))
        .join("")} FROM t`,
  },
  {
    name: "lengths and repeats",
    statement: (index, salt) => `SELECT ${salt}${"a".repeat(index & 511)},${"aaaaaaaa,".repeat(index >> 9)}a`,
  },
];
const HONEST = 4_096;
const SESSION = sessionBits({ ansiQuotes: false, backslashEscapes: true, charsetUnsafe: false });

export type Search = { statements: number; keys: number; found: string[] };

export function search({ ms, seed }: { ms: number; seed: number }): Search {
  const random = randomOf(seed);
  const found: string[] = [];
  let statements = 0;
  let keys = 0;
  const endsMs = performance.now() + ms;
  do {
    const key = randomHashKey();
    const salt = `x${random(1 << 30).toString(36)}`;
    keys++;
    for (const { name, statement } of FAMILIES) {
      const members = Array.from({ length: FAMILY }, (_, index) => statement(index, salt));
      statements += members.length;
      found.push(...equals(fingerprints(members, key)).map(value => `${name}, salt ${salt}: ${value}`));
    }
    // What an attacker would do: all that was learned is a target, and the filler behind the UNION is free.
    const learned = Array.from({ length: HONEST }, (_, i) => `SELECT a${i}, b FROM ${salt} WHERE c = 1`);
    const targets = new Set(fingerprints(learned, key));
    const attacks = Array.from(
      { length: FAMILY },
      (_, i) =>
        `SELECT a1, b FROM ${salt} WHERE c = 1 UNION SELECT ${i.toString(36)}x, ${random(1 << 30).toString(36)}y`,
    );
    statements += attacks.length;
    for (const value of fingerprints(attacks, key)) if (targets.has(value)) found.push(`learned: ${value}`);
  } while (performance.now() < endsMs);
  return { statements, keys, found };
}

function fingerprints(texts: readonly string[], key: ReturnType<typeof randomHashKey>): BigUint64Array {
  const parts = texts.map(text => Buffer.from(text, "latin1"));
  const offsets = new Uint32Array(parts.length + 1);
  for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.length;
  return judgeBatch(Buffer.concat(parts), offsets, { dialect: "mysql", session: SESSION, key }).fingerprints;
}

/** Fingerprints that more than one statement has. */
function equals(values: BigUint64Array): bigint[] {
  if (values.includes(0n)) throw new Error("a statement of the family has no fingerprint: it proves nothing");
  const sorted = values.slice().sort();
  return [...new Set(sorted.filter((value, i) => i > 0 && value === sorted[i - 1]))];
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" } } });
  const seed = Date.now() & 0x7fffffff;
  const { statements, keys, found } = search({ ms: Number(values.seconds) * 1_000, seed });
  console.log(`${statements} statements under ${keys} keys (seed ${seed}): ${found.length} collisions`);
  for (const one of found.slice(0, 10)) console.log(one);
  process.exit(found.length === 0 ? 0 : 1);
}
