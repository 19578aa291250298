import type { DetectionRow as Row } from "@picket/shared/api";
import type { StatementDetection } from "@picket/shared/detection";
import { type ReactNode, useId, useState } from "react";
import { GuaranteeBadge, PriorityBadge, Tag, VerdictBadge } from "../../ui/badges.tsx";
import { Sql } from "../../ui/sql.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Clock } from "../../ui/time.tsx";
import { count, statementMeaning } from "../../ui/words.ts";
import { DetectionDetails } from "./detection-details.tsx";
import { claimed, headline } from "./outcome.ts";

/** One line of the log; opens to everything that the node told. */
export function DetectionRow({ row, arrived }: { row: Row; arrived: boolean }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const { detection } = row;
  return (
    <li
      data-sequence={row.sequence}
      className={`border-b border-line last:border-b-0 ${arrived ? "arrived" : ""} ${open ? "bg-sunken" : ""}`}
    >
      <button
        type="button"
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
        className="grid w-full grid-cols-[minmax(0,1fr)_auto] items-baseline gap-x-4 gap-y-0.5 px-2 py-1.5 text-start hover:bg-sunken @xl:grid-cols-[4.5rem_7rem_minmax(0,1fr)] @5xl:grid-cols-[4.5rem_7rem_minmax(0,1fr)_minmax(0,15rem)]"
      >
        <span className="order-2 text-xs text-faint @xl:order-none @xl:text-sm">
          <Clock at={detection.at} />
        </span>
        <span className="order-1 @xl:order-none">
          {detection.kind === "statement" ? (
            <GuaranteeBadge guarantee={claimed(detection)} meaning={statementMeaning[claimed(detection)]} />
          ) : (
            <span className="flex items-baseline gap-1.5">
              {detection.priority !== null && <PriorityBadge priority={detection.priority} />}
              <span className="text-sm text-soft">{detection.kind}</span>
            </span>
          )}
        </span>
        <span className="order-3 col-span-2 min-w-0 @xl:order-none @xl:col-span-1">
          {detection.kind === "statement" ? (
            <Statement detection={detection} open={open} />
          ) : (
            <span className={open ? "" : "line-clamp-2"}>
              <Foreign>{headline(detection)}</Foreign>
            </span>
          )}
        </span>
        <span className="order-4 col-span-2 min-w-0 truncate text-xs @xl:order-none @xl:col-span-1 @xl:col-start-3 @5xl:col-start-auto @5xl:text-sm">
          <span className="text-soft">{row.hostname}</span>{" "}
          {"process" in detection && detection.process && (
            <span className="text-faint">
              <Foreign>{detection.process.workload ?? detection.process.comm}</Foreign>
            </span>
          )}
        </span>
      </button>
      <div id={id} hidden={!open}>
        {open && <DetectionDetails row={row} />}
      </div>
    </li>
  );
}

function Statement({ detection, open }: { detection: StatementDetection; open: boolean }): ReactNode {
  return (
    <>
      <span className={`block text-sm ${open ? "[overflow-wrap:anywhere]" : "truncate"}`}>
        <Sql sql={detection.sql} />
      </span>
      <span className="flex flex-wrap items-baseline gap-x-2 text-xs text-soft">
        <VerdictBadge verdict={detection.verdict} />
        {detection.rules.map(rule => (
          <span key={rule}>{rule}</span>
        ))}
        {detection.wouldBlock && <Tag tone="warning">would have blocked</Tag>}
        {detection.count > 1 && <span>{count(detection.count)} times</span>}
      </span>
    </>
  );
}
