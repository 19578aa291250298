/** A rollout's steps as a ladder, and its gate's decisions without repetition. Pure. */
import type { GateDecision, Rollout, RolloutNodeCounts, RolloutStep } from "@picket/shared/api";
import { count, plural } from "../../ui/words.ts";

export interface Rung {
  step: RolloutStep;
  state: "done" | "now" | "planned" | "left";
  /** Nodes that this step takes; null where the nodes are not known (in a list). */
  nodes: RolloutNodeCounts | null;
}

export function rungs(rollout: Rollout, nodesByStep?: readonly RolloutNodeCounts[]): Rung[] {
  return rollout.steps.map((step, index) => ({
    step,
    state: rungState(rollout, index),
    nodes: nodesByStep?.[index] ?? null,
  }));
}

function rungState(rollout: Rollout, index: number): Rung["state"] {
  switch (rollout.state) {
    case "scheduled":
      return "planned";
    case "complete":
      return "done";
    case "running":
    case "paused":
      return index < rollout.step ? "done" : index === rollout.step ? "now" : "planned";
    case "aborted":
    case "rolling-back":
    case "rolled-back":
      return index <= rollout.step ? "left" : "planned";
  }
}

export interface FoldedDecision extends GateDecision {
  /** Times in a row that the gate said the same. */
  times: number;
  firstAt: string;
}

/** Newest first; a gate that waits says so at every look. */
export function foldDecisions(decisions: readonly GateDecision[]): FoldedDecision[] {
  const folded: FoldedDecision[] = [];
  for (const decision of decisions.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))) {
    const last = folded.at(-1);
    if (
      last &&
      last.kind === decision.kind &&
      last.step === decision.step &&
      last.because === decision.because
    ) {
      last.times++;
      last.firstAt = decision.at;
    } else folded.push({ ...decision, times: 1, firstAt: decision.at });
  }
  return folded;
}

/**
 * Whether a later rollout has given this one's nodes something else: what they report then says nothing of this
 * one, and only the newest can be rolled back.
 */
export function superseded(rollout: Rollout, all: readonly Rollout[]): boolean {
  return all.some(
    each => each.ruleSet === rollout.ruleSet && Date.parse(each.createdAt) > Date.parse(rollout.createdAt),
  );
}

/** The nodes' side in a sentence. In a roll back a node "installs" what it had before. */
export function nodesStanding({ state, version, previous }: Rollout, nodes: RolloutNodeCounts): string {
  const of = `${count(nodes.installed)} of ${plural(nodes.reached, "reached node")}`;
  switch (state) {
    case "scheduled":
      return `${count(nodes.planned)} planned, none reached`;
    case "running":
    case "paused":
    case "complete":
    case "aborted":
      return `${of} installed v${version}; ${count(nodes.planned)} planned`;
    case "rolling-back":
    case "rolled-back":
      return previous === null ? `${of} let v${version} go` : `${of} returned to v${previous}`;
  }
}

/** How things stand, in a sentence. */
export function standing(rollout: Rollout): string {
  const { step, steps, previous } = rollout;
  const reach = steps[Math.min(step, steps.length - 1)]?.percent ?? 0;
  switch (rollout.state) {
    case "scheduled":
      return rollout.lastDecision ? `Not begun: it ${rollout.lastDecision.because}.` : "Not begun.";
    case "running":
      return `Step ${step + 1} of ${steps.length}: ${reach} % of the selected nodes.`;
    case "paused":
      return `Paused at step ${step + 1} of ${steps.length}, ${reach} % of the selected nodes. It does not advance by itself.`;
    case "complete":
      return rollout.mode === "twin"
        ? "Every step is done. It ran as a twin: nodes are back at what is stable."
        : "Every step is done.";
    case "aborted":
      return `Ended at step ${step + 1} of ${steps.length}. ${rollout.mode === "twin" ? "Nodes are back at what is stable." : "Nodes keep what they have."}`;
    case "rolling-back":
      return previous === null
        ? "Nodes are told to let the version go."
        : `Nodes are told to return to v${previous}.`;
    case "rolled-back":
      return previous === null
        ? "Nodes let the version go; none was there before it."
        : `Nodes returned to v${previous}.`;
  }
}
