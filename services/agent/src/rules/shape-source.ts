/**
 * The shapes that this node can tell of: what it has learned, and what its rule sets name by example. A shape that
 * several workloads, users or databases use was judged for each of them, and is told of once.
 */
import type { KnownShape, ShapeSource } from "../uplink/shapes.ts";
import type { Judging } from "./assemble.ts";

export function shapeSource({ learned, versions, lexing }: Judging): ShapeSource {
  return {
    *known(): Generator<KnownShape> {
      const named = new Map<bigint, KnownShape>();
      for (const [, { fingerprint, sample, workload, judged }] of learned.entries()) {
        if (!sample) continue;
        const before = (named.get(fingerprint)?.before ?? 0) + judged;
        named.set(fingerprint, { fingerprint, ...sample, workload, before });
      }
      yield* named.values();
      for (const { rules } of versions.stable?.parts ?? [])
        for (const { fingerprint, sql, dialect } of rules.shapes) {
          if (named.has(fingerprint)) continue;
          const shape = {
            fingerprint,
            sql: Buffer.from(sql),
            dialect,
            session: null,
            workload: "",
            before: 0,
          };
          named.set(fingerprint, shape);
          yield shape;
        }
    },
    uses() {
      const uses = new Map<bigint, number>();
      for (const [key, count] of versions.uses()) {
        const fingerprint = learned.get(key)?.fingerprint ?? key;
        uses.set(fingerprint, (uses.get(fingerprint) ?? 0) + count);
      }
      return uses;
    },
    shapeOf: (sql, dialect, session) => lexing.named(sql, dialect, session),
  };
}
