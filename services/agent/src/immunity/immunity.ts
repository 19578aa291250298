/** This node's part in the fleet's immunity: what it claims, what it believes, and what it reports of both. */
import type { ImmunityReport } from "@picket/shared/immunity";
import type { Judgement, Sent } from "../rules/judging.ts";
import type { Lexing } from "../rules/lexing.ts";
import type { Loaded } from "../rules/versions.ts";
import { Claims } from "./claims.ts";
import type { SharedVerdicts } from "./shared-verdicts.ts";

export type Immunity = ReturnType<typeof createImmunity>;

export function createImmunity(input: {
  lexing: Lexing;
  shared: SharedVerdicts;
  /** There is something to claim. */
  changed: () => void;
  nowMs: () => number;
}) {
  const { shared, nowMs } = input;
  const claims = new Claims(input.lexing);
  return {
    shared,
    claims,
    /** Where no rule version says who could share it, nobody would believe it. */
    judged({ sql, dialect, session }: Sent, judgement: Judgement, loaded: Loaded): void {
      if (!shared.delegated) return;
      if (claims.add({ sql, dialect, session, judgement, loaded }, nowMs())) input.changed();
    },
    report: (): ImmunityReport => ({
      ...shared.counts(),
      claimed: claims.claimed,
      unclaimed: claims.unclaimed,
    }),
  };
}
