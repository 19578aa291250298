import { defaultSession } from "@picket/judge/session";
import { randomHashKey } from "@picket/native/lexer";
import { expect, test } from "vitest";
import type { Statement } from "../wire/statements.ts";
import { createComparison } from "./comparison.ts";
import { createLexing } from "./lexing.ts";

const lexing = createLexing(randomHashKey());
const KNOWN = "SELECT name FROM users WHERE id = 1";
const ALIKE = "SELECT name FROM users WHERE id = 77";
const OTHER = "SELECT name FROM users WHERE id = 1 UNION SELECT secret FROM users WHERE 'x' = 'y'";
const fingerprint = (sql: string) => lexing.fingerprint(Buffer.from(sql), "pg", null);

/** Forced, since nobody can make a collision on purpose: the kernel says it knew the statement by this fingerprint. */
function compare(sent: string, by: bigint, { example = KNOWN, whole = true } = {}) {
  const forgotten: bigint[] = [];
  const comparison = createComparison({
    lexing,
    exampleOf: () => (example ? { sql: Buffer.from(example), dialect: "pg", session: null } : undefined),
    forget: shape => forgotten.push(shape),
    nowMs: () => 0,
  });
  const statement = {
    sql: Buffer.from(sent),
    dialect: "pg",
    session: defaultSession("pg"),
    fingerprint: by,
    whole,
  } as unknown as Statement;
  const found = comparison.of(statement);
  return { found, again: comparison.of(statement), forgotten, counts: comparison.counts() };
}

test("a statement of the shape that it was taken for is the same, whatever its values", () => {
  const { found, forgotten, counts } = compare(ALIKE, fingerprint(KNOWN));
  expect(found).toBeNull();
  expect(forgotten).toEqual([]);
  expect(counts).toEqual({ same: 2, other: 0, unmatched: 0 });
});

test.each([
  ["another shape's fingerprint", OTHER, fingerprint(OTHER), "has the fingerprint of another shape"],
  [
    "a fingerprint that this process does not make",
    OTHER,
    fingerprint(KNOWN),
    "read a statement differently",
  ],
  ["a known shape that the kernel hashed otherwise", KNOWN, 12_345n, "read a statement differently"],
])("%s is the highest alarm, once, without its values, and the shape is judged anew", (_, sql, by, why) => {
  const { found, again, forgotten, counts } = compare(sql, by);
  expect(found).toMatchObject({ priority: "P0", what: "shape-mismatch", why: expect.stringContaining(why) });
  expect(found?.why).not.toContain("'x'");
  expect(again).toBeNull();
  expect(forgotten).toEqual([by, by]);
  expect(counts).toEqual({ same: 0, other: 2, unmatched: 0 });
});

test.each([
  ["cut", { whole: false }],
  ["known by a verdict without an example", { example: "" }],
])("a statement that is %s is counted, and no alarm", (_, how) => {
  const { found, counts } = compare(OTHER, fingerprint(KNOWN), how);
  expect(found).toBeNull();
  expect(counts).toEqual({ same: 0, other: 0, unmatched: 2 });
});
