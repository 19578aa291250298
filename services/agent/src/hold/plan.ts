/**
 * How statements are held, from what the rule sets of the live versions say: one plan for each workload. Where they
 * differ the stricter one stands. Pure.
 */
import type { Context } from "@picket/judge/match";
import type { Consulting, HoldPolicy, KeeperTable } from "./frames.ts";

export type HoldPlan = { held: boolean; maxHeldBytes: number; policy: HoldPolicy };

export type Planned = { holdFor(context: Context): HoldPlan; keeper: KeeperTable };

const CONSULTING: readonly Consulting[] = ["never", "grey", "always"];

export function planFor(parts: readonly Planned[], context: Context): HoldPlan {
  const plans = parts.map(part => part.holdFor(context));
  const consult = Math.max(0, ...plans.map(({ policy }) => CONSULTING.indexOf(policy.consult)));
  return {
    held: plans.some(({ held }) => held),
    maxHeldBytes: Math.max(0, ...plans.map(({ maxHeldBytes }) => maxHeldBytes)),
    policy: {
      deadlineMs: Math.max(1, ...plans.map(({ policy }) => policy.deadlineMs)),
      onFailure: plans.some(({ policy }) => policy.onFailure === "closed") ? "closed" : "open",
      // The keeper runs the rules of one set: where there are more, all of them are asked here.
      consult: parts.length > 1 ? "always" : CONSULTING[consult]!,
    },
  };
}

/** Of several sets the one with the most rules that block: what it finds needs no asking. */
export function tableOf(parts: readonly Planned[]): KeeperTable | null {
  const blocking = ({ keeper }: Planned) => keeper.rules.filter(({ action }) => action === "block").length;
  return parts.toSorted((a, b) => blocking(b) - blocking(a))[0]?.keeper ?? null;
}
