import type { ShapeDigest } from "@picket/shared/ids";
import { expect, test } from "vitest";
import { type KnownShape, ShapeLedger, type ShapeSource } from "./shapes.ts";

const EPOCH = "00000000-0000-4000-8000-000000000000";

function world(): { ledger: ShapeLedger; known: KnownShape[]; uses: Map<bigint, number> } {
  const known: KnownShape[] = [];
  const uses = new Map<bigint, number>();
  const source: ShapeSource = {
    known: () => known,
    uses: () => uses,
    shapeOf: sql =>
      sql.toString() === "never"
        ? null
        : { digest: sql.toString("hex") as ShapeDigest, text: sql.toString() },
  };
  return { ledger: new ShapeLedger(source, EPOCH), known, uses };
}
const shape = (fingerprint: bigint, text: string, before = 1): KnownShape => ({
  fingerprint,
  sql: Buffer.from(text),
  dialect: "pg",
  session: null,
  workload: "shop",
  before,
});
/** Sends all, and says which arrived. */
function round(ledger: ShapeLedger, arrives = true): [string, number][][] {
  return [...ledger.batches()].map(({ batch, arrived }) => {
    expect(batch.epoch).toBe(EPOCH);
    if (arrives) arrived();
    return batch.shapes.map(({ text, uses }) => [text, uses]);
  });
}

test("a shape is told with its total, and again only when that changed", () => {
  const { ledger, known, uses } = world();
  known.push(shape(1n, "select a"), shape(2n, "select b"));
  uses.set(1n, 40);
  expect(round(ledger)).toEqual([
    [
      ["select a", 41],
      ["select b", 1],
    ],
  ]);
  expect(round(ledger)).toEqual([]);
  uses.set(2n, 5);
  expect(round(ledger)).toEqual([[["select b", 6]]]);
});

test("a batch that did not arrive is told again, with what came since", () => {
  const { ledger, known, uses } = world();
  known.push(shape(1n, "select a"));
  expect(round(ledger, false)).toEqual([[["select a", 1]]]);
  uses.set(1n, 1);
  expect(round(ledger)).toEqual([[["select a", 2]]]);
});

test("what is named but was never used, never known, or too long is not told", () => {
  const { ledger, known } = world();
  known.push(shape(1n, "select named", 0), shape(2n, "never"), shape(3n, "x".repeat(5_000)));
  expect(round(ledger)).toEqual([]);
});

test("many shapes are several batches, each within what one call may hold", () => {
  const { ledger, known } = world();
  for (let i = 0; i < 2_500; i++) known.push(shape(BigInt(i + 1), `select a${i}`));
  expect(round(ledger).map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  const long = world();
  for (let i = 0; i < 300; i++) long.known.push(shape(BigInt(i + 1), `${i}${"y".repeat(4_000)}`));
  for (const batch of round(long.ledger)) expect(batch.length).toBeLessThan(140);
});

test("a shape that was forgotten and learned anew is told anew", () => {
  const { ledger, known } = world();
  known.push(shape(1n, "select a"));
  round(ledger);
  known.length = 0;
  round(ledger);
  known.push(shape(1n, "select a"));
  expect(round(ledger)).toEqual([[["select a", 1]]]);
});
