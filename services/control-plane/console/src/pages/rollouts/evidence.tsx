import type { SignalFinding } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { decision } from "../../api/queries.ts";
import { Tag, type Tone } from "../../ui/badges.tsx";
import { Scroll } from "../../ui/layout.tsx";
import { armText, eValueText, valueText } from "./figures.ts";

const tones: Record<SignalFinding["finding"], Tone> = {
  fine: "good",
  worse: "danger",
  open: "warning",
  unread: "warning",
};

/** What one decision was made from: a summary, and on demand each signal and what the gate says of it now. */
export function Evidence({
  rollout,
  decision: id,
  signals,
}: {
  rollout: string;
  decision: number;
  signals: readonly SignalFinding[];
}) {
  const [open, setOpen] = useState(false);
  const counts = (["worse", "open", "unread", "fine"] as const)
    .map(finding => [finding, signals.filter(each => each.finding === finding).length] as const)
    .filter(([, count]) => count > 0);
  return (
    <details className="mt-1" open={open} onToggle={event => setOpen(event.currentTarget.open)}>
      <summary className="cursor-pointer text-sm text-soft">
        Canary against control: {counts.map(([finding, count]) => `${count} ${finding}`).join(", ")}
      </summary>
      {open && <Signals rollout={rollout} id={id} signals={signals} />}
    </details>
  );
}

function Signals({
  rollout,
  id,
  signals,
}: {
  rollout: string;
  id: number;
  signals: readonly SignalFinding[];
}) {
  const replayed = useQuery(decision(rollout, id)).data?.replayed;
  return (
    <>
      <Scroll label="Signals of the decision">
        <table className="table-log text-sm">
          <thead>
            <tr>
              <th>Signal</th>
              <th>Canary</th>
              <th>Control</th>
              <th>Difference</th>
            </tr>
          </thead>
          <tbody>
            {signals.map(each => (
              <tr key={each.signal}>
                <td>
                  {each.title} <Tag tone={tones[each.finding]}>{each.finding}</Tag>
                  {each.finding !== "fine" && <div className="text-xs text-faint">{each.why}</div>}
                  {each.finding !== "fine" && each.eValue !== null && (
                    <div className="text-xs text-faint">evidence against it: {eValueText(each)}</div>
                  )}
                </td>
                <td className="whitespace-nowrap">{armText(each, "canary")}</td>
                <td className="whitespace-nowrap">{armText(each, "control")}</td>
                <td className="whitespace-nowrap">
                  {valueText(each.difference, each.unit, true)}
                  {each.upper !== null && (
                    <div className="text-xs text-faint">
                      below {valueText(each.upper, each.unit, true)}
                      <br />
                      matters from {valueText(each.margin, each.unit)}
                    </div>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {replayed && (
        <p className="pt-1 text-xs text-faint">
          {replayed.same
            ? "Asked again with the same evidence, the gate decides the same."
            : `Asked again with the same evidence, the gate now says: ${replayed.kind}, ${replayed.because}`}
        </p>
      )}
    </>
  );
}
