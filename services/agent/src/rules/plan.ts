/** What a node runs of its rule sets: for every process, and in its place for a share of them. */
import type { Bundle } from "@picket/shared/bundle";
import type { Assignment } from "@picket/shared/contract";
import type { ObjectDigest, RuleSetName } from "@picket/shared/ids";
import type { LastGood } from "./store.ts";
import { byRuleSet, type Part } from "./versions.ts";

export const WHOLE = 10_000;

/** One rule set's version, as it was assigned. */
export type Running = { assignment: Assignment; part: Part; good: LastGood };
export type Runs = ReadonlyMap<RuleSetName, Running>;

/** By rule set. */
export type Plan = {
  /** What every process is judged by. */
  whole: Runs;
  /** What stands in its place for a share of the processes. */
  candidates: Runs;
};
export const NOTHING: Plan = { whole: new Map(), candidates: new Map() };

export const isWhole = ({ share, scope }: Pick<Assignment, "share" | "scope">): boolean =>
  share >= WHOLE && scope === "all";

export const partsOf = (runs: Runs): Part[] => [...runs.values()].map(({ part }) => part).sort(byRuleSet);

export const byName = (runs: readonly Running[]): Runs =>
  new Map(runs.map(each => [each.part.ruleSet, each]));

/** There is one candidate slot: of several candidates the most careful one says to whom it is given. */
export function givenTo(candidates: Runs): { share: number; newProcessesOnly: boolean } {
  const all = [...candidates.values()].map(({ assignment }) => assignment);
  return {
    share: Math.min(...all.map(({ share }) => share)),
    newProcessesOnly: all.some(({ scope }) => scope === "new-processes"),
  };
}

export function bundleOf({ envelope }: LastGood): Bundle {
  return JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")) as Bundle;
}

export const objectOf = (good: LastGood): ObjectDigest => bundleOf(good).objects.slot;
