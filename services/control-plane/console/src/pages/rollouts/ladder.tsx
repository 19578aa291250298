import type { Rollout, RolloutNode } from "@picket/shared/api";
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

/** A step as a pale as high as the share of nodes it reaches, filled as far as its nodes have installed. */
export function Ladder({
  rollout,
  nodes,
  small = false,
}: {
  rollout: Rollout;
  nodes?: readonly RolloutNode[];
  small?: boolean;
}) {
  return (
    <ol className="flex items-end gap-px" aria-label="Steps">
      {rungs(rollout, nodes).map((rung, index) => (
        <li
          key={index}
          aria-current={rung.state === "now" ? "step" : undefined}
          data-step={rung.state}
          className={`min-w-0 ${small ? "w-14" : "flex-1"}`}
        >
          <Pale rung={rung} small={small} />
          <div className={`border-t-2 pt-1 ${rung.state === "now" ? "border-observed" : "border-line"}`}>
            <span className={small ? "text-xs" : "text-base font-semibold"}>{rung.step.percent} %</span>
            {small ? (
              <span className="sr-only">, {stateWord[rung.state]}</span>
            ) : (
              <span className="block text-xs text-soft">
                <span className={rung.state === "now" ? "font-semibold text-observed" : ""}>
                  {stateWord[rung.state]}
                </span>
                , soak {rung.step.soak}
                {rung.step.share < 100 && <span className="block">{rung.step.share} % of processes</span>}
                {rung.step.scope === "new-processes" && <span className="block">new processes only</span>}
                {rung.nodes && (
                  <span className="block">
                    {count(rung.nodes.installed)} of {count(rung.nodes.planned)} nodes
                    {rung.nodes.refused > 0 && (
                      <span className="font-semibold text-danger">, {count(rung.nodes.refused)} refused</span>
                    )}
                  </span>
                )}
              </span>
            )}
          </div>
        </li>
      ))}
    </ol>
  );
}

function Pale({ rung, small }: { rung: Rung; small: boolean }) {
  const room = 100;
  // A step of one percent must still be seen as one.
  const height = 12 + (rung.step.percent / 100) * (room - 12);
  const done = rung.nodes
    ? rung.nodes.planned === 0
      ? Number(rung.state === "done")
      : rung.nodes.installed / rung.nodes.planned
    : rung.state === "planned"
      ? 0
      : 1;
  const shown = rung.state === "planned" ? 0 : done;
  return (
    <svg
      viewBox={`0 0 100 ${room}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      className={`block w-full ${small ? "h-7" : "h-24"}`}
    >
      <rect x="0" y={room - height} width="100" height={height} className="fill-sunken" />
      <rect
        x="0"
        y={room - height * shown}
        width="100"
        height={height * shown}
        className={`${fillTone[rung.state]}`}
      />
    </svg>
  );
}
