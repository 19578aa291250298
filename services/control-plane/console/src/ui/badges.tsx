import type { Guarantee, Priority, Verdict } from "@picket/shared/vocabulary";
import type { ReactNode } from "react";
import { priorityMeaning, verdictMeaning } from "./words.ts";

const glyphs: Record<Guarantee, string> = {
  prevented: "M1 12V3l1.5-2L4 3v9zM6 12V3l1.5-2L9 3v9zM11 12V3l1.5-2L14 3v9z",
  severed: "M1 12V8h3v4zM1 6V3l1.5-2L4 3v3zM6 12V8h3v4zM6 6V3l1.5-2L9 3v3zM11 12V8h3v4zM11 6V3l1.5-2L14 3v3z",
  observed: "M1 12V7h3v5zM6 12V7h3v5zM11 12V7h3v5z",
  unseen: "M1 12v-1.5h3V12zM6 12v-1.5h3V12zM11 12v-1.5h3V12z",
};
const guaranteeTone: Record<Guarantee, string> = {
  prevented: "text-prevented",
  severed: "text-severed",
  observed: "text-observed",
  unseen: "text-unseen",
};

/** The word is the API's own; `meaning` says it in full where the pointer rests. */
export function GuaranteeBadge({ guarantee, meaning }: { guarantee: Guarantee; meaning: string }) {
  return (
    <span
      data-guarantee={guarantee}
      title={meaning}
      className={`inline-flex items-center gap-1.5 whitespace-nowrap font-medium ${guaranteeTone[guarantee]}`}
    >
      <svg viewBox="0 0 15 12" aria-hidden="true" className="h-3 w-[0.9375rem] shrink-0 fill-current">
        <path d={glyphs[guarantee]} />
      </svg>
      {guarantee}
    </span>
  );
}

const verdictTone: Record<Verdict, string> = {
  attack: "text-danger",
  probe: "text-warning",
  benign: "text-soft",
};

export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  return (
    <span title={verdictMeaning[verdict]} className={`font-semibold ${verdictTone[verdict]}`}>
      {verdict}
    </span>
  );
}

const priorityTone: Record<Priority, string> = {
  P0: "bg-danger text-sheet",
  P1: "bg-danger-wash text-danger",
  P2: "bg-warning-wash text-warning",
  P3: "bg-line text-soft",
};

export function PriorityBadge({ priority }: { priority: Priority }) {
  return (
    <span
      title={priorityMeaning[priority]}
      className={`inline-block rounded-sm px-1.5 text-xs font-semibold ${priorityTone[priority]}`}
    >
      {priority}
    </span>
  );
}

export type Tone = "plain" | "good" | "warning" | "danger" | "busy";
const tones: Record<Tone, string> = {
  plain: "bg-line text-soft",
  good: "bg-prevented-wash text-prevented",
  warning: "bg-warning-wash text-warning",
  danger: "bg-danger-wash text-danger",
  busy: "bg-observed-wash text-observed",
};

export function Tag({
  tone = "plain",
  title,
  children,
}: {
  tone?: Tone;
  title?: string;
  children: ReactNode;
}) {
  return (
    <span
      title={title}
      className={`inline-block whitespace-nowrap rounded-sm px-1.5 text-xs font-medium ${tones[tone]}`}
    >
      {children}
    </span>
  );
}
