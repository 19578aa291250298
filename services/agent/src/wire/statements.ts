/**
 * Puts the fragments of a statement together, per connection and statement number. Most statements are one fragment
 * and pass without a copy. Bounded in statements and bytes: the oldest unfinished one is given up and counted. What
 * is missing is said (`whole` is false), never guessed.
 */
import type { StatementFragment } from "../capture/kernel-event.ts";

export type Statement = Omit<StatementFragment, "text"> & {
  /** As much of it as was captured. Of a single fragment: valid only while its batch is handled. */
  sql: Buffer;
  /** Every byte of it is in `sql`. */
  whole: boolean;
};

type Unfinished = { parts: Buffer[]; bytes: number; next: number; gap: boolean };

const UNFINISHED_MAX = 1_024;
const BYTES_MAX = 4 << 20;

export class Statements {
  readonly #unfinished = new Map<string, Unfinished>();
  readonly #limits: { unfinished: number; bytes: number };
  #bytes = 0;
  /** Statements given up because others needed the room. */
  abandoned = 0;

  constructor(limits = { unfinished: UNFINISHED_MAX, bytes: BYTES_MAX }) {
    this.#limits = limits;
  }

  /** The whole statement with its last fragment, null before. */
  feed(fragment: StatementFragment): Statement | null {
    const { text, ...rest } = fragment;
    if (fragment.first && fragment.last)
      return { ...rest, sql: text, whole: text.length === fragment.statementBytes };
    const key = `${fragment.cookie}:${fragment.statement}`;
    const found = this.#unfinished.get(key);
    const unfinished = found ?? { parts: [], bytes: 0, next: 0, gap: false };
    if (fragment.fragment !== unfinished.next || fragment.textOffset !== unfinished.bytes)
      unfinished.gap = true;
    unfinished.next = fragment.fragment + 1;
    // Behind a gap the bytes would stand in the wrong place: only what came before it is judged.
    if (!unfinished.gap && text.length > 0) {
      unfinished.parts.push(Buffer.from(text));
      unfinished.bytes += text.length;
      this.#bytes += text.length;
    }
    if (!fragment.last) {
      if (!found) this.#unfinished.set(key, unfinished);
      this.#makeRoom(key);
      return null;
    }
    this.#forget(key, unfinished);
    return {
      ...rest,
      sql: Buffer.concat(unfinished.parts),
      whole: !unfinished.gap && unfinished.bytes === fragment.statementBytes,
    };
  }

  /** Whether every fragment before this one has come: the ring and the keeper tell by different ways. */
  complete({ cookie, statement, fragment }: StatementFragment): boolean {
    return fragment === 0 || this.#unfinished.get(`${cookie}:${statement}`)?.next === fragment;
  }

  /** The connection is gone: what was begun on it will never end. */
  closed(cookie: bigint): void {
    for (const [key, unfinished] of this.#unfinished)
      if (key.startsWith(`${cookie}:`)) this.#forget(key, unfinished);
  }

  get unfinished(): number {
    return this.#unfinished.size;
  }

  #makeRoom(current: string): void {
    for (const [key, unfinished] of this.#unfinished) {
      if (this.#unfinished.size <= this.#limits.unfinished && this.#bytes <= this.#limits.bytes) return;
      if (key === current) continue;
      this.#forget(key, unfinished);
      this.abandoned += 1;
    }
  }

  #forget(key: string, unfinished: Unfinished): void {
    this.#unfinished.delete(key);
    this.#bytes -= unfinished.bytes;
  }
}
