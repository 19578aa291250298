/**
 * What a twin has found, counted. The kernel counts how often each shape that it knows is used; a shape is judged by
 * the twin once, and every use of it, earlier ones since the twin began included, then weighs by that. What is judged
 * here at each use is counted as it comes. What could not be compared is not in `compared`: that is the coverage.
 * Pure: counts and words in, figures out.
 */
import {
  type TwinDifference,
  type TwinDifferenceKind,
  type TwinFigures,
  type TwinWord,
  twinDifference,
} from "@picket/shared/twin";

/** What the kernel has of a shape, in the version that judged it. */
export type KnownUse = { key: bigint; count: number; stable: TwinWord; byHand: boolean };

/** Of whom a difference tells; made only where there is one. */
export type Told = Pick<TwinDifference, "shape" | "dialect" | "sql" | "workload">;

type Outcome = { kind: TwinDifferenceKind | null; entry: TwinDifference | null };
type State = {
  /** The kernel's count as it was last read. */
  last: number;
  /** Uses that wait for the twin's word. */
  waiting: number;
  stable: TwinWord;
  byHand: boolean;
  outcome: Outcome | null;
};
/** One version that enforces. */
type Slot = { statements: number; shapes: Map<bigint, State> };

const DIFFERENCES_MAX = 1_000;
const FIGURE = {
  "would-block": "wouldBlock",
  "would-pass": "wouldPass",
  otherwise: "otherwise",
} as const satisfies Record<TwinDifferenceKind, keyof TwinFigures>;

export class TwinLedger {
  readonly #slots = new Map<number, Slot>();
  readonly #figures: TwinFigures = {
    statements: 0,
    compared: 0,
    wouldBlock: 0,
    wouldPass: 0,
    otherwise: 0,
  };
  readonly #differences = new Map<string, TwinDifference>();
  readonly #differencesMax: number;
  #overflowed = 0;

  constructor(differencesMax = DIFFERENCES_MAX) {
    this.#differencesMax = differencesMax;
  }

  /** What was before is nothing of the twin's. */
  begin(ordinal: number, statements: number, uses: Iterable<KnownUse>): void {
    const shapes = new Map<bigint, State>();
    for (const { key, count, stable, byHand } of uses)
      shapes.set(key, { last: count, waiting: 0, stable, byHand, outcome: null });
    this.#slots.set(ordinal, { statements, shapes });
  }

  /** `statements` is read after the shapes were, so that no more is compared than was judged. */
  count(ordinal: number, uses: Iterable<KnownUse>, statements: () => number): void {
    const slot = this.#slot(ordinal);
    for (const { key, count, stable, byHand } of uses) {
      let state = slot.shapes.get(key);
      if (!state) {
        state = { last: 0, waiting: 0, stable, byHand, outcome: null };
        slot.shapes.set(key, state);
      }
      // It was forgotten and is known anew.
      const grown = count < state.last ? count : count - state.last;
      state.last = count;
      if (!same(state.stable, stable) || state.byHand !== byHand)
        Object.assign(state, { stable, byHand, outcome: null });
      if (state.outcome) this.#add(state.outcome, grown);
      else state.waiting += grown;
    }
    const total = statements();
    this.#figures.statements += Math.max(0, total - slot.statements);
    slot.statements = total;
  }

  /** Shapes that were used and that the twin has not judged. */
  *waiting(ordinal: number): Generator<{ key: bigint; byHand: boolean }> {
    for (const [key, { waiting, byHand, outcome }] of this.#slots.get(ordinal)?.shapes ?? [])
      if (outcome === null && waiting > 0) yield { key, byHand };
  }

  isWaiting(ordinal: number, key: bigint): boolean {
    return this.#slots.get(ordinal)?.shapes.get(key)?.outcome === null;
  }

  /** What the twin says of a shape, for all its uses. */
  settle(ordinal: number, key: bigint, candidate: TwinWord | "same", told: () => Told): void {
    const state = this.#slots.get(ordinal)?.shapes.get(key);
    if (!state || state.outcome) return;
    state.outcome = this.#outcome(state.stable, candidate === "same" ? state.stable : candidate, told);
    this.#add(state.outcome, state.waiting);
    state.waiting = 0;
  }

  /**
   * A statement that was judged here. `key`: what enforces is remembered under it, and the kernel counts from here on;
   * `holds`: so does the twin's word.
   */
  met(
    ordinal: number,
    {
      key,
      holds,
      stable,
      candidate,
    }: { key: bigint | null; holds: boolean; stable: TwinWord; candidate: TwinWord },
    told: () => Told,
  ): void {
    const outcome = this.#outcome(stable, candidate, told);
    this.#add(outcome, 1);
    if (key === null) return;
    this.#slot(ordinal).shapes.set(key, {
      last: 0,
      waiting: 0,
      stable,
      byHand: false,
      outcome: holds ? outcome : null,
    });
  }

  /** Versions that are no more live are not read again. */
  keep(ordinals: readonly number[]): void {
    for (const ordinal of this.#slots.keys()) if (!ordinals.includes(ordinal)) this.#slots.delete(ordinal);
  }

  figures(): TwinFigures {
    const { statements, compared } = this.#figures;
    // What was judged here since the kernel's counts were last read.
    return { ...this.#figures, statements: Math.max(statements, compared) };
  }

  /** The most frequent first. */
  differences(most: number): { listed: TwinDifference[]; unlisted: number } {
    const all = [...this.#differences.values()].toSorted((a, b) => b.count - a.count);
    const listed = all.slice(0, most).map(each => ({ ...each }));
    return { listed, unlisted: all.length - listed.length + this.#overflowed };
  }

  #slot(ordinal: number): Slot {
    const slot = this.#slots.get(ordinal) ?? { statements: 0, shapes: new Map<bigint, State>() };
    this.#slots.set(ordinal, slot);
    return slot;
  }

  #outcome(stable: TwinWord, candidate: TwinWord, told: () => Told): Outcome {
    const kind = twinDifference(stable, candidate);
    if (kind === null) return { kind, entry: null };
    const of = told();
    const words = [stable, candidate].map(({ verdict, action }) => `${verdict} ${action}`);
    const name = JSON.stringify([of.dialect, of.shape ?? of.sql, ...words]);
    let entry = this.#differences.get(name) ?? null;
    if (!entry && this.#differences.size < this.#differencesMax) {
      entry = { kind, ...of, stable, candidate, count: 0 };
      this.#differences.set(name, entry);
    }
    if (!entry) this.#overflowed += 1;
    return { kind, entry };
  }

  #add({ kind, entry }: Outcome, uses: number): void {
    this.#figures.compared += uses;
    if (kind !== null) this.#figures[FIGURE[kind]] += uses;
    if (entry) entry.count += uses;
  }
}

const same = (left: TwinWord, right: TwinWord): boolean =>
  left.verdict === right.verdict && left.action === right.action && left.rule === right.rule;
