/**
 * What the kernel knew, read again: one use in so many comes with its text. Its fingerprint is made anew and its shape
 * compared with that of the statement by which the verdict was given. Where they differ an attacker has found two
 * statements with one fingerprint, or the kernel reads SQL otherwise than this process: that is the highest alarm, and
 * the shape is judged anew at its next use. Bounded: one alarm for each pair of shapes.
 */
import { randomUUID } from "node:crypto";
import type { ConnectionDetection } from "@picket/shared/detection";
import type { EventId } from "@picket/shared/ids";
import type { Dialect } from "@picket/shared/vocabulary";
import type { Statement } from "../wire/statements.ts";
import type { Lexing } from "./lexing.ts";

export type Example = { sql: Buffer; dialect: Dialect; session: number | null };

export type Comparison = {
  /** Of a statement that the kernel knew; null: it is what it was taken for, or nothing is there to compare. */
  of(statement: Statement): ConnectionDetection | null;
  counts(): { same: number; other: number; unmatched: number } | undefined;
};

const TOLD_MAX = 1_000;

export function createComparison(input: {
  lexing: Pick<Lexing, "fingerprint" | "named" | "redact">;
  /** By which statement the kernel's verdict was given; undefined: it was too long to keep, or a predecessor's. */
  exampleOf: (statement: Statement) => Example | undefined;
  forget: (fingerprint: bigint) => void;
  nowMs: () => number;
}): Comparison {
  const { lexing } = input;
  const counts = { same: 0, other: 0, unmatched: 0 };
  const told = new Set<string>();

  return {
    of(statement) {
      const { sql, dialect, session, fingerprint, whole } = statement;
      const example = whole ? input.exampleOf(statement) : undefined;
      if (!example) {
        counts.unmatched += 1;
        return null;
      }
      const now = lexing.named(sql, dialect, session);
      const then = lexing.named(example.sql, example.dialect, example.session);
      const read = lexing.fingerprint(sql, dialect, session) === fingerprint;
      if (read && now && now.digest === then?.digest) {
        counts.same += 1;
        return null;
      }
      counts.other += 1;
      input.forget(fingerprint);
      const causalKey = `shape-mismatch:${dialect}:${now?.digest.slice(0, 16)}:${then?.digest.slice(0, 16)}`;
      if (told.has(causalKey) || told.size >= TOLD_MAX) return null;
      told.add(causalKey);
      const what = read
        ? "a statement has the fingerprint of another shape"
        : "the kernel and the agent read a statement differently";
      const shown = [lexing.redact(sql, dialect, session), then?.text ?? "a shape that is never known"];
      return {
        id: randomUUID() as EventId,
        at: new Date(input.nowMs()).toISOString(),
        kind: "connection",
        what: "shape-mismatch",
        priority: "P0",
        causalKey,
        why: `${what}: ${shown.map(text => text.slice(0, 180)).join(" | it passed as | ")}`.slice(0, 500),
        endpoints: statement.endpoints,
      };
    },
    counts: () => (counts.same + counts.other + counts.unmatched > 0 ? { ...counts } : undefined),
  };
}
