import type { TwinReport } from "@picket/shared/twin";

/** What a twin found, of however many runs and nodes. */
export type TwinTotals = Pick<
  TwinReport,
  "statements" | "compared" | "wouldBlock" | "wouldPass" | "otherwise" | "differences" | "unlisted"
>;

/** What a node counted, as it is stored (nodes/totals.ts makes it). */
export interface SetTotals {
  statements: number;
  blocked: number;
  wouldBlock: number;
  neverKnown: number;
  /** Null: the agent does not see responses. */
  responses: { ok: number; errors: number; latencyLog2Us: number[] } | null;
}

export interface Counted {
  /** The control plane's clock. */
  atMs: number;
  /** While an agent ran. */
  seconds: number;
  cpuSeconds: number;
  restarts: number;
  emitted: number;
  lost: number;
  /** As of the last report. */
  residentBytes: number;
  sets: Record<string, SetTotals>;
}

/** With what the agent said last, to tell a figure that goes on from one that began anew. */
export interface Totals extends Counted {
  said: { uptimeSeconds: number; cpuSeconds: number; emitted: number; lost: number };
  /** Where that report stood among the agent's; absent: the agent does not number them. */
  order?: { epoch: string; sequence: number; epochBefore: string | null };
}

export interface Marks {
  /** The older one is what "before" is counted from. */
  older: Totals | null;
  newer: Totals;
}

/** Where a comparison begins for a node: its totals then, and what it counted in the time before. */
export interface Watch {
  start: Counted;
  before: Counted | null;
}
