import { useQuery } from "@tanstack/react-query";
import { detectionFeed, useDetections } from "../../api/detections.ts";
import { nodes } from "../../api/queries.ts";
import { Button } from "../../ui/button.tsx";
import { clockTime, relative, span, useNow } from "../../ui/clock.ts";

/** Whether what the page shows is of now. */
export function LinkState() {
  const { link } = useDetections();
  const asked = useQuery(nodes);
  const stale = link.kind === "lost" || asked.isError;
  const dot = stale
    ? "bg-danger-fill"
    : link.kind === "connecting"
      ? "bg-unseen-fill waiting"
      : "bg-prevented-fill";
  return (
    <span
      className="inline-flex items-center gap-1.5 text-xs text-soft"
      title="Detections by stream, the rest every few seconds"
    >
      <span aria-hidden="true" className={`size-2 rounded-sm ${dot}`} />
      {stale ? "Not live" : link.kind === "connecting" ? "Connecting" : "Live"}
    </span>
  );
}

/** Over every page while the control plane is away: what is shown is as old as said. */
export function LinkBanner() {
  const { link, filled } = useDetections();
  const asked = useQuery(nodes);
  const sinceMs = link.kind === "lost" ? link.sinceMs : asked.isError ? asked.dataUpdatedAt : null;
  const retryAtMs = link.kind === "lost" ? link.retryAtMs : null;
  const age = useNow(nowMs => (sinceMs === null ? "" : relative(sinceMs, nowMs)));
  const wait = useNow(nowMs => (retryAtMs === null ? "" : span(Math.max(0, retryAtMs - nowMs + 999))));
  if (sinceMs === null || (!filled && asked.data === undefined)) return null;
  return (
    <div
      role="alert"
      className="flex flex-wrap items-center justify-between gap-x-6 gap-y-1 bg-severed-wash px-4 py-2 text-sm text-ink md:px-8"
    >
      <p>
        <strong className="font-semibold">The control plane is away.</strong> What you see is of{" "}
        {clockTime(sinceMs)}, {age}. Nodes go on judging and keep what they have to report.
        {wait && ` Next attempt in ${wait}.`}
      </p>
      <Button
        onClick={() => {
          detectionFeed.retry();
          void asked.refetch();
        }}
      >
        Try now
      </Button>
    </div>
  );
}
