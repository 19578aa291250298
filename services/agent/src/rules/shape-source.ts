/** The shapes that this node can tell of: what it has learned, and what its rule sets name by example. */
import type { KnownShape, ShapeSource } from "../uplink/shapes.ts";
import type { Judging } from "./assemble.ts";

export function shapeSource({ learned, versions, lexing }: Judging): ShapeSource {
  return {
    *known(): Generator<KnownShape> {
      const named = new Set<bigint>();
      for (const [fingerprint, { sample, workload, judged }] of learned.entries()) {
        if (!sample) continue;
        named.add(fingerprint);
        yield { fingerprint, ...sample, workload, before: judged };
      }
      for (const { rules } of versions.stable?.parts ?? [])
        for (const { fingerprint, sql, dialect } of rules.shapes) {
          if (named.has(fingerprint)) continue;
          named.add(fingerprint);
          yield { fingerprint, sql: Buffer.from(sql), dialect, session: null, workload: "", before: 0 };
        }
    },
    uses: () => versions.uses(),
    shapeOf: (sql, dialect, session) => lexing.named(sql, dialect, session),
  };
}
