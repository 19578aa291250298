/**
 * Finds the learned template that a new statement was made from: one that agrees with it before and after one of
 * the template's slots. What comes before a slot is looked up by its hash, what comes after is compared by its hash
 * and then word by word, so the work is one step for each token and a bounded number of comparisons.
 */
import { type Slot, slotsOf } from "./slots.ts";
import { LITERAL } from "./tokens.ts";

export type Entry = { words: readonly string[] };

export type Splice<T extends Entry> = {
  template: T;
  /** Which tokens of the template were replaced. */
  slot: Slot;
  /** Tokens [from, to) of the statement that stand in its place. */
  from: number;
  to: number;
  /** Whether what follows the slot in the template is there; else it was cut off, by a comment or the end. */
  whole: boolean;
};

type Place<T> = { entry: T; slot: Slot };

/** The places that are reached by one beginning: by the length of what follows them, then by its hash. */
type Bucket<T> = Map<number, Map<number, Place<T>[]>>;

/** Templates that differ in nothing but what stands in one slot; more of them say nothing new. */
const ALIKE_MAX = 64;
/** Lengths that are looked up for one statement. */
const STEPS_MAX = 4_096;
/** A template that agrees in less than this many tokens says nothing. */
const AGREE_MIN = 4;
const FOUND_MAX = 16;
/** Places of templates that are compared in full, to find what was put into several places of one. */
const SEVERAL_MAX = 256;
/** Literals that one input goes into: columns that one search box searches. */
const INPUTS_MAX = 4;
const SLOTS_AFTER_MAX = 16;

export class SpliceIndex<T extends Entry> {
  readonly #byPrefix = new Map<number, Bucket<T>>();

  add(entry: T): void {
    const { words } = entry;
    const prefixes = prefixHashes(words);
    const suffixes = suffixHashes(words);
    for (const slot of slotsOf(words)) {
      const rest = words.length - slot.to;
      const bucket = getOrSet<number, Bucket<T>>(this.#byPrefix, prefixes[slot.from]!, () => new Map());
      const sameLength = getOrSet(bucket, rest, () => new Map<number, Place<T>[]>());
      const places = getOrSet<number, Place<T>[]>(sameLength, suffixes[rest]!, () => []);
      if (places.length < ALIKE_MAX) places.push({ entry, slot });
    }
  }

  remove(entry: T): void {
    const { words } = entry;
    const prefixes = prefixHashes(words);
    const suffixes = suffixHashes(words);
    for (const { from, to } of slotsOf(words)) {
      const bucket = this.#byPrefix.get(prefixes[from]!);
      const sameLength = bucket?.get(words.length - to);
      const hash = suffixes[words.length - to]!;
      const left = sameLength?.get(hash)?.filter(place => place.entry !== entry) ?? [];
      if (left.length > 0) sameLength?.set(hash, left);
      else sameLength?.delete(hash);
      if (sameLength?.size === 0) bucket?.delete(words.length - to);
      if (bucket?.size === 0) this.#byPrefix.delete(prefixes[from]!);
    }
  }

  /**
   * The last token up to which `words` begin as a template does up to a value or a name: where something may have
   * been pasted in. Undefined: no template begins so.
   */
  graft(words: readonly string[]): number | undefined {
    const prefixes = prefixHashes(words);
    for (let at = words.length - 1; at >= AGREE_MIN; at--)
      for (const sameLength of this.#byPrefix.get(prefixes[at]!)?.values() ?? [])
        for (const places of sameLength.values())
          if (places.some(({ slot }) => slot.kind !== "table")) return at;
    return undefined;
  }

  /**
   * The template that `words` are made from by putting tokens in the place of several of its literals: the same ones,
   * where one input goes into several; else whatever fits between what the template has there.
   */
  several(words: readonly string[]): { at: number; same: Splice<T> | undefined } | undefined {
    const prefixes = prefixHashes(words);
    let fits: number | undefined;
    let steps = 0;
    for (let from = words.length - 2; from >= AGREE_MIN; from--)
      for (const sameLength of this.#byPrefix.get(prefixes[from]!)?.values() ?? [])
        for (const places of sameLength.values())
          for (const { entry, slot } of places) {
            if (slot.kind === "table" || entry.words.length >= words.length) continue;
            if (++steps > SEVERAL_MAX) return fits === undefined ? undefined : { at: fits, same: undefined };
            if (!samePrefix(entry.words, words, from) || !inOrder(entry.words, slot, words)) continue;
            fits ??= from;
            const length = repeated(entry.words, slot, words);
            if (length > 0)
              return { at: fits, same: { template: entry, slot, from, to: from + length, whole: true } };
          }
    return fits === undefined ? undefined : { at: fits, same: undefined };
  }

  /**
   * Every template that `words` may be made from, the one with which it has most in common first. `cut`: the rest
   * of a template may be missing.
   */
  find(words: readonly string[], { cut }: { cut: boolean }): Splice<T>[] {
    const prefixes = prefixHashes(words);
    const suffixes = suffixHashes(words);
    const found: Splice<T>[] = [];
    let steps = 0;
    let longestCut: Splice<T> | undefined;
    for (let from = words.length - 1; from >= 1 && found.length < FOUND_MAX; from--) {
      const bucket = this.#byPrefix.get(prefixes[from]!);
      if (!bucket) continue;
      if (cut && !longestCut && from >= AGREE_MIN) longestCut = cutOff(bucket, words, from);
      for (const [rest, sameLength] of bucket) {
        if (++steps > STEPS_MAX) return longestCut ? [...found, longestCut] : found;
        const to = words.length - rest;
        if (to <= from || from + rest < AGREE_MIN) continue;
        for (const { entry, slot } of sameLength.get(suffixes[rest]!) ?? [])
          if (found.length < FOUND_MAX && agrees(entry.words, words, slot, rest))
            found.push({ template: entry, slot, from, to, whole: true });
      }
    }
    found.sort((a, b) => a.to - a.from - (b.to - b.from));
    return longestCut ? [...found, longestCut] : found;
  }
}

function getOrSet<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** A template that agrees up to a slot: the first one, since they differ in what was cut off. */
function cutOff<T extends Entry>(
  bucket: Bucket<T>,
  words: readonly string[],
  from: number,
): Splice<T> | undefined {
  for (const sameLength of bucket.values())
    for (const [place] of sameLength.values())
      return place && samePrefix(place.entry.words, words, from)
        ? { template: place.entry, slot: place.slot, from, to: words.length, whole: false }
        : undefined;
  return undefined;
}

/** Whether what a template has after `slot` comes in the same order in `words`, with more where it has literals. */
function inOrder(template: readonly string[], slot: Slot, words: readonly string[]): boolean {
  const parts = splitAtLiterals(template, slot.to);
  const last = parts.pop()!;
  if (parts.length === 0 || words.length - last.length <= slot.from) return false;
  for (const [i, word] of last.entries()) if (words[words.length - last.length + i] !== word) return false;
  const end = words.length - last.length;
  let at = slot.from + 1;
  for (const part of parts) {
    at = indexOf(words, part, at, end);
    if (at < 0) return false;
    at += part.length + 1;
  }
  return at <= end;
}

function splitAtLiterals(template: readonly string[], from: number): string[][] {
  const parts: string[][] = [[]];
  for (const word of template.slice(from))
    if (word === LITERAL) parts.push([]);
    else parts.at(-1)!.push(word);
  return parts;
}

function indexOf(words: readonly string[], part: readonly string[], from: number, end: number): number {
  for (let at = from; at + part.length <= end; at++)
    if (part.every((word, i) => words[at + i] === word)) return at;
  return -1;
}

/** How many tokens stand in the place of `slot` and of one, two or three literals after it, the same in each; or 0. */
function repeated(template: readonly string[], slot: Slot, words: readonly string[]): number {
  const more = words.length - template.length;
  const later: number[] = [];
  for (let at = slot.to; at < template.length && later.length < SLOTS_AFTER_MAX; at++)
    if (template[at] === LITERAL) later.push(at);
  const sets = [
    ...later.map(at => [at]),
    ...Array.from({ length: INPUTS_MAX - 2 }, (_, i) => later.slice(0, i + 2)).filter(set => set.length > 1),
  ];
  for (const set of sets) {
    const count = set.length + 1;
    if (more % count !== 0) continue;
    const length = more / count + 1;
    const inserted = words.slice(slot.from, slot.from + length);
    const made = template.flatMap((word, at) => (at === slot.from || set.includes(at) ? inserted : [word]));
    if (made.length === words.length && made.every((word, i) => word === words[i])) return length;
  }
  return 0;
}

function agrees(template: readonly string[], words: readonly string[], slot: Slot, rest: number): boolean {
  for (let i = 1; i <= rest; i++) if (template[template.length - i] !== words[words.length - i]) return false;
  return samePrefix(template, words, slot.from);
}

function samePrefix(template: readonly string[], words: readonly string[], length: number): boolean {
  for (let i = 0; i < length; i++) if (template[i] !== words[i]) return false;
  return true;
}

/** The hash of the first i words, for each i. Hits are compared word by word, so collisions only cost time. */
function prefixHashes(words: readonly string[]): Float64Array {
  const hashes = new Float64Array(words.length + 1);
  const chain = new Chain();
  for (let i = 0; i < words.length; i++) hashes[i + 1] = chain.add(wordHash(words[i]!));
  return hashes;
}

/** The hash of the last i words, for each i. */
function suffixHashes(words: readonly string[]): Float64Array {
  const hashes = new Float64Array(words.length + 1);
  const chain = new Chain();
  for (let i = 0; i < words.length; i++) hashes[i + 1] = chain.add(wordHash(words[words.length - 1 - i]!));
  return hashes;
}

class Chain {
  #a = 0x811c9dc5;
  #b = 0x1b873593;
  add(value: number): number {
    this.#a = Math.imul(this.#a ^ value, 0x01000193);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b + value, 0x5bd1e995);
    this.#b ^= this.#b >>> 13;
    return (this.#a >>> 0) * 0x200000 + (this.#b & 0x1fffff);
  }
}

function wordHash(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash;
}
