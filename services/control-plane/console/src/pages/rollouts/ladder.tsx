import type { Rollout, RolloutNodeCounts } from "@picket/shared/api";
import { count } from "../../ui/words.ts";
import { type Rung, rungs } from "./progress.ts";

const stateWord: Record<Rung["state"], string> = {
  done: "done",
  now: "now",
  planned: "to come",
  left: "ended",
};
const fillTone: Record<Rung["state"], string> = {
  done: "fill-prevented-fill",
  now: "fill-observed-fill",
  planned: "fill-transparent",
  left: "fill-unseen-fill",
};

/** A step as a board as high as the share of nodes it reaches, filled as far as its nodes have installed. */
export function Ladder({
  rollout,
  nodesByStep,
}: {
  rollout: Rollout;
  nodesByStep: readonly RolloutNodeCounts[];
}) {
  const all = rungs(rollout, nodesByStep);
  return (
    <div>
      <Boards rungs={all} className="h-24 gap-1" />
      <ol aria-label="Steps" className="flex gap-1 max-md:flex-col">
        {all.map((rung, index) => (
          <li
            key={index}
            aria-current={rung.state === "now" ? "step" : undefined}
            data-step={rung.state}
            className={`min-w-0 flex-1 py-1 text-xs text-soft max-md:flex max-md:flex-wrap max-md:items-baseline max-md:gap-x-3 max-md:border-b max-md:border-line ${rung.state === "now" ? "md:shadow-[inset_0_2px_0_var(--observed)]" : ""}`}
          >
            <span className="block text-base font-semibold text-ink max-md:w-12">{rung.step.percent} %</span>
            <span className="block">
              <span className={rung.state === "now" ? "font-semibold text-observed" : ""}>
                {stateWord[rung.state]}
              </span>
              , soak {rung.step.soak}
            </span>
            {rung.step.share < 100 && <span className="block">{rung.step.share} % of processes</span>}
            {rung.step.requireApproval && <span className="block">when approved</span>}
            {rung.step.scope === "new-processes" && <span className="block">new processes only</span>}
            {rung.nodes && (
              <span className="block">
                {rung.nodes.planned === 0
                  ? "no further node"
                  : `${count(rung.nodes.installed)} of ${count(rung.nodes.planned)} nodes`}
                {rung.nodes.refused > 0 && (
                  <span className="font-semibold text-danger">, {count(rung.nodes.refused)} refused</span>
                )}
              </span>
            )}
          </li>
        ))}
      </ol>
    </div>
  );
}

export function SmallLadder({ rollout }: { rollout: Rollout }) {
  const all = rungs(rollout);
  return (
    <div className="max-w-80">
      <Boards rungs={all} className="h-8 gap-0.5" />
      <ol aria-label="Steps" className="flex gap-0.5">
        {all.map((rung, index) => (
          <li
            key={index}
            aria-current={rung.state === "now" ? "step" : undefined}
            data-step={rung.state}
            className={`min-w-0 flex-1 text-xs ${rung.state === "now" ? "font-semibold text-ink shadow-[inset_0_2px_0_var(--observed)]" : "text-soft"}`}
          >
            {rung.step.percent} %<span className="sr-only">, {stateWord[rung.state]}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Boards({ rungs: all, className }: { rungs: readonly Rung[]; className: string }) {
  return (
    <div aria-hidden="true" className={`flex ${className}`}>
      {all.map((rung, index) => (
        <Board key={index} rung={rung} />
      ))}
    </div>
  );
}

function Board({ rung }: { rung: Rung }) {
  // A step of one percent must still be seen as one.
  const height = 10 + rung.step.percent * 0.9;
  const { installed, refused } = filled(rung);
  return (
    <svg
      viewBox="0 0 100 100"
      preserveAspectRatio="none"
      aria-hidden="true"
      className="block h-full min-w-0 flex-1"
    >
      <rect x="0" y={100 - height} width="100" height={height} className="fill-line" />
      <rect
        x="0"
        y={100 - height * installed}
        width="100"
        height={height * installed}
        className={fillTone[rung.state]}
      />
      <rect
        x="0"
        y={100 - height * (installed + refused)}
        width="100"
        height={height * refused}
        className="fill-danger-fill"
      />
    </svg>
  );
}

/** Shares of the step's nodes; without them, only whether the step was reached. */
function filled({ state, nodes }: Rung): { installed: number; refused: number } {
  if (state === "planned") return { installed: 0, refused: 0 };
  if (!nodes || nodes.planned === 0) return { installed: 1, refused: 0 };
  return { installed: nodes.installed / nodes.planned, refused: nodes.refused / nodes.planned };
}
