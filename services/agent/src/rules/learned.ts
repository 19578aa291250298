/**
 * What this node has learned: the verdict of each shape it judged, with one sample of it, by the key under which the
 * kernel knows it (its fingerprint, or that with the scope of those for whom it holds), so that a new rule version
 * starts with everything that it still judges the same way. Bounded; a forgotten shape is only judged again at its
 * next use. Hostile ones are kept apart, since each one forgotten would pass once more.
 */
import type { Action, Dialect, Verdict } from "@picket/shared/vocabulary";

export type Sample = { sql: Buffer; dialect: Dialect; session: number };
export type LearnedShape = {
  fingerprint: bigint;
  verdict: Verdict;
  action: Action;
  /** Ids of the rules that made it hostile. */
  rules: string[];
  /** Whose statement it was first. */
  workload: string;
  user: string | undefined;
  database: string | undefined;
  /** Uses that were judged here, since the kernel did not know it yet. */
  judged: number;
  /** Absent where the statement was too long to keep. */
  sample: Sample | null;
};

const LIMITS = { benign: 8_192, hostile: 4_096, sampleBytesMax: 2_048, bytesMax: 4 << 20 };

export class LearnedShapes {
  readonly #benign = new Map<bigint, LearnedShape>();
  readonly #hostile = new Map<bigint, LearnedShape>();
  readonly #limits: typeof LIMITS;
  #bytes = 0;

  constructor(limits = LIMITS) {
    this.#limits = limits;
  }

  learn(key: bigint, shape: Omit<LearnedShape, "judged">): void {
    if (shape.fingerprint === 0n) return; // "Never known" is no shape: all such statements would share one verdict.
    const judged = (this.get(key)?.judged ?? 0) + 1;
    this.#forget(key);
    const { sample } = shape;
    // Copied: it points into the ring's memory, or keeps a whole batch alive.
    const kept =
      sample && sample.sql.length <= this.#limits.sampleBytesMax
        ? { ...sample, sql: Buffer.from(sample.sql) }
        : null;
    const among = shape.verdict === "benign" ? this.#benign : this.#hostile;
    among.set(key, { ...shape, judged, sample: kept });
    this.#bytes += kept?.sql.length ?? 0;
    this.#makeRoom();
  }

  get(key: bigint): LearnedShape | undefined {
    return this.#hostile.get(key) ?? this.#benign.get(key);
  }

  /** Of whomever; returns the keys under which they were known. */
  forget(which: (shape: LearnedShape) => boolean): bigint[] {
    const keys = [...this.entries()].filter(([, shape]) => which(shape)).map(([key]) => key);
    for (const key of keys) this.#forget(key);
    return keys;
  }

  #forget(key: bigint): void {
    const shape = this.get(key);
    if (!shape) return;
    this.#bytes -= shape.sample?.sql.length ?? 0;
    this.#benign.delete(key);
    this.#hostile.delete(key);
  }

  *entries(): Generator<[bigint, LearnedShape]> {
    yield* this.#hostile;
    yield* this.#benign;
  }

  get size(): number {
    return this.#benign.size + this.#hostile.size;
  }

  /** The oldest go first, benign ones before hostile ones. */
  #makeRoom(): void {
    const { benign, hostile, bytesMax } = this.#limits;
    while (this.#benign.size > benign || (this.#bytes > bytesMax && this.#benign.size > 0))
      this.#drop(this.#benign);
    while (this.#hostile.size > hostile || this.#bytes > bytesMax) this.#drop(this.#hostile);
  }

  #drop(among: Map<bigint, LearnedShape>): void {
    const oldest = among.keys().next();
    if (!oldest.done) this.#forget(oldest.value);
  }
}
