/**
 * Which shapes this node has seen and how often, for the control plane to replay rules over (docs/backtest.md). The
 * kernel counts; here are the totals of this agent's run, of those that changed since they last arrived. A batch that
 * is lost is simply told again, with newer totals.
 */
import type { ShapeBatch, ShapeUse } from "@picket/shared/contract";
import type { ShapeDigest } from "@picket/shared/ids";
import { SHAPE_TEXT_MAX } from "@picket/shared/shape";
import type { Dialect } from "@picket/shared/vocabulary";

export type KnownShape = {
  fingerprint: bigint;
  sql: Buffer;
  dialect: Dialect;
  /** Null: what the server starts with. */
  session: number | null;
  workload: string;
  /** Uses that the kernel did not count, since it did not know the shape yet. */
  before: number;
};

export type ShapeSource = {
  /** With a sample of each, from which its text is made. */
  known(): Iterable<KnownShape>;
  /** By the kernel's count, over all rule versions of this run. */
  uses(): ReadonlyMap<bigint, number>;
  /** Null: it is never known by its shape. */
  shapeOf(
    sql: Buffer,
    dialect: Dialect,
    session: number | null,
  ): { digest: ShapeDigest; text: string } | null;
};

const BATCH = { shapes: 1_000, characters: 512 << 10 };

export class ShapeLedger {
  readonly #source: ShapeSource;
  readonly #epoch: string;
  /** Uses as they last arrived; of known shapes alone, so it is bounded as they are. */
  #told = new Map<bigint, number>();

  constructor(source: ShapeSource, epoch: string) {
    this.#source = source;
    this.#epoch = epoch;
  }

  /** Batches of what changed. Each counts as told once it is said to have arrived. */
  *batches(): Generator<{ batch: ShapeBatch; arrived(): void }> {
    const uses = this.#source.uses();
    const told = new Map<bigint, number>();
    let shapes: ShapeUse[] = [];
    let totals: [bigint, number][] = [];
    let characters = 0;
    const take = () => {
      const [batch, taken] = [{ epoch: this.#epoch, shapes }, totals];
      shapes = [];
      totals = [];
      characters = 0;
      return {
        batch,
        arrived: () => {
          for (const [fingerprint, total] of taken) this.#told.set(fingerprint, total);
        },
      };
    };
    const known = [...this.#source.known()];
    for (const { fingerprint } of known) {
      const before = this.#told.get(fingerprint);
      if (before !== undefined) told.set(fingerprint, before);
    }
    this.#told = told;
    for (const { fingerprint, sql, dialect, session, workload, before } of known) {
      const total = before + (uses.get(fingerprint) ?? 0);
      if (total === 0 || total === told.get(fingerprint)) continue;
      const shape = this.#source.shapeOf(sql, dialect, session);
      if (!shape || shape.text === "" || shape.text.length > SHAPE_TEXT_MAX) continue;
      shapes.push({
        shape: shape.digest,
        dialect,
        text: shape.text,
        workload: workload.slice(0, 255),
        uses: total,
      });
      totals.push([fingerprint, total]);
      characters += shape.text.length;
      if (shapes.length >= BATCH.shapes || characters >= BATCH.characters) yield take();
    }
    if (shapes.length > 0) yield take();
  }
}
