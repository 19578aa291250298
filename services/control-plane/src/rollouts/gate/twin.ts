/**
 * What a twin found, as signals of the gate. There is no control: each node compares the two versions itself, over the
 * same statements, so one difference is no chance. What it means only a person can say, who reads the statements:
 * blocking another one may be what the version is for.
 */
import type { SignalFinding } from "@picket/shared/api";
import type { TwinFigures } from "@picket/shared/twin";

export type TwinSeen = TwinFigures & { nodes: number };

const TWIN = "twin-";
export const isOfTwin = ({ signal }: SignalFinding): boolean => signal.startsWith(TWIN);

export function twinSignals(seen: TwinSeen): SignalFinding[] {
  return [
    signal("would-block", "statements that the twin would block", seen.wouldBlock, seen),
    signal("would-pass", "blocked statements that the twin would let pass", seen.wouldPass, seen),
  ];
}

function signal(name: string, title: string, hits: number, { nodes, compared }: TwinSeen): SignalFinding {
  const base = {
    signal: `${TWIN}${name}`,
    title,
    unit: "share" as const,
    control: null,
    difference: null,
    upper: null,
    margin: null,
    eValue: null,
    threshold: 0,
  };
  if (compared === 0)
    return { ...base, canary: null, finding: "unread", why: "no statement was compared yet" };
  const canary = { nodes, hits, of: compared };
  return hits === 0
    ? { ...base, canary, finding: "fine", why: `none of ${compared} that were compared` }
    : { ...base, canary, finding: "open", why: `${hits} of ${compared} that were compared` };
}

/** Without figures, which grow by the second. Null: it would block and let pass what is now, or it is not known. */
export function twinDiffers(signals: readonly SignalFinding[]): string | null {
  const found = signals.filter(each => isOfTwin(each) && each.finding === "open");
  return found.length === 0 ? null : `there are ${found.map(({ title }) => title).join(", and ")}`;
}
