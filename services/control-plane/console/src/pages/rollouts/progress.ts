/** A rollout's steps as a ladder, and its gate's decisions without repetition. Pure. */
import type { GateDecision, Rollout, RolloutNode, RolloutStep } from "@picket/shared/api";

export interface Rung {
  step: RolloutStep;
  state: "done" | "now" | "planned" | "left";
  /** Nodes that this step takes; null where the nodes are not known (in a list). */
  nodes: { planned: number; installed: number; refused: number } | null;
}

export function rungs(rollout: Rollout, nodes?: readonly RolloutNode[]): Rung[] {
  return rollout.steps.map((step, index) => {
    const mine = nodes?.filter(node => node.step === index);
    return {
      step,
      state: rungState(rollout, index),
      nodes: mine
        ? {
            planned: mine.length,
            installed: mine.filter(node => node.state === "installed").length,
            refused: mine.filter(node => node.state === "refused").length,
          }
        : null,
    };
  });
}

function rungState(rollout: Rollout, index: number): Rung["state"] {
  switch (rollout.state) {
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

/** How things stand, in a sentence. */
export function standing(rollout: Rollout): string {
  const { step, steps, previous } = rollout;
  const reach = steps[Math.min(step, steps.length - 1)]?.percent ?? 0;
  switch (rollout.state) {
    case "running":
      return `Step ${step + 1} of ${steps.length}: ${reach} % of the selected nodes.`;
    case "paused":
      return `Paused at step ${step + 1} of ${steps.length}, ${reach} % of the selected nodes. It does not advance by itself.`;
    case "complete":
      return "Every step is done.";
    case "aborted":
      return `Ended at step ${step + 1} of ${steps.length}. Nodes keep what they have.`;
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
