/**
 * Finds the learned template that a new statement was made from: one that agrees with it before and after one of
 * the template's slots. What comes before a slot is looked up by its hash, what comes after is compared by its hash
 * and then word by word, so the work is one step for each token and a bounded number of comparisons.
 */
import { type Slot, slotsOf } from "./slots.ts";

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

type Place<T> = { entry: T; slot: Slot; rest: number; restHash: number };

/** Templates that are compared at one place, and for one statement. */
const PLACES_MAX = 512;
const CANDIDATES_MAX = 4_096;
/** A template that agrees in less than this many tokens says nothing. */
const AGREE_MIN = 4;
const FOUND_MAX = 16;

export class SpliceIndex<T extends Entry> {
  readonly #byPrefix = new Map<number, Place<T>[]>();

  add(entry: T): void {
    const { words } = entry;
    const prefixes = prefixHashes(words);
    const suffixes = suffixHashes(words);
    for (const slot of slotsOf(words)) {
      const rest = words.length - slot.to;
      const place = { entry, slot, rest, restHash: suffixes[rest]! };
      const places = this.#byPrefix.get(prefixes[slot.from]!);
      if (!places) this.#byPrefix.set(prefixes[slot.from]!, [place]);
      else if (places.length < PLACES_MAX) places.push(place);
    }
  }

  remove(entry: T): void {
    const prefixes = prefixHashes(entry.words);
    for (const { from } of slotsOf(entry.words)) {
      const places = this.#byPrefix.get(prefixes[from]!)?.filter(place => place.entry !== entry);
      if (places && places.length > 0) this.#byPrefix.set(prefixes[from]!, places);
      else this.#byPrefix.delete(prefixes[from]!);
    }
  }

  /**
   * Every template that `words` may be made from, the one with which it has most in common first. `cut`: the rest
   * of a template may be missing.
   */
  find(words: readonly string[], { cut }: { cut: boolean }): Splice<T>[] {
    const prefixes = prefixHashes(words);
    const suffixes = suffixHashes(words);
    const found: Splice<T>[] = [];
    let candidates = 0;
    let longestCut: Splice<T> | undefined;
    for (let from = words.length - 1; from >= 1 && found.length < FOUND_MAX; from--) {
      const places = this.#byPrefix.get(prefixes[from]!);
      if (!places) continue;
      for (const { entry, slot, rest, restHash } of places) {
        if (++candidates > CANDIDATES_MAX) return longestCut ? [...found, longestCut] : found;
        const to = words.length - rest;
        if (
          to > from &&
          suffixes[rest] === restHash &&
          from + rest >= AGREE_MIN &&
          agrees(entry.words, words, slot, rest)
        ) {
          found.push({ template: entry, slot, from, to, whole: true });
          if (found.length === FOUND_MAX) break;
        } else if (cut && !longestCut && from >= AGREE_MIN && samePrefix(entry.words, words, slot.from))
          longestCut = { template: entry, slot, from, to: words.length, whole: false };
      }
    }
    found.sort((a, b) => a.to - a.from - (b.to - b.from));
    return longestCut ? [...found, longestCut] : found;
  }
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
