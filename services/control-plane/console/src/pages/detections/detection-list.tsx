import type { DetectionRow as Row } from "@picket/shared/api";
import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useId, useState } from "react";
import { detectionFeed, useDetections } from "../../api/detections.ts";
import { nodes } from "../../api/queries.ts";
import { Button } from "../../ui/button.tsx";
import { PageHead } from "../../ui/layout.tsx";
import { Empty, Loading } from "../../ui/states.tsx";
import { count, plural } from "../../ui/words.ts";
import { fleetOf } from "../nodes/fleet.ts";
import { DetectionRow } from "./detection-row.tsx";
import { Legend } from "./legend.tsx";
import { matches, type View, views } from "./outcome.ts";

const viewName: Record<View, string> = {
  all: "All",
  attack: "Attacks",
  probe: "Probes",
  "would-block": "Would have blocked",
  connections: "Connections",
  certificates: "Certificates",
};

const route = getRouteApi("/detections");

export function DetectionList() {
  const feed = useDetections();
  const { view = "all", q = "" } = route.useSearch();
  const [heldAt, setHeldAt] = useState<number | null>(null);
  const shown = feed.rows.filter(row => (heldAt === null || row.sequence <= heldAt) && matches(row, view, q));
  const held =
    heldAt === null ? 0 : feed.rows.filter(row => row.sequence > heldAt && matches(row, view, q)).length;
  return (
    <>
      <PageHead
        title="Detections"
        aside={
          <Button
            aria-pressed={heldAt !== null}
            onClick={() => setHeldAt(heldAt === null ? (feed.rows[0]?.sequence ?? 0) : null)}
          >
            {heldAt === null ? "Hold the list" : held === 0 ? "Go on" : `Go on, ${count(held)} new`}
          </Button>
        }
      >
        <Coverage rows={feed.rows} more={feed.more} />
      </PageHead>
      <Filter view={view} q={q} />
      {!feed.filled ? (
        <Loading what="detections" />
      ) : shown.length === 0 ? (
        <NoDetections filtered={feed.rows.length > 0} />
      ) : (
        <ol aria-label="Detections, newest first" className="@container border-t-2 border-ink">
          {shown.map(row => (
            <DetectionRow key={row.sequence} row={row} arrived={row.sequence > feed.firstSequence} />
          ))}
        </ol>
      )}
      {feed.filled && feed.more && <Older />}
      <Legend />
    </>
  );
}

/** What the list rests on: which nodes speak, and what was lost on the way. */
function Coverage({ rows, more }: { rows: readonly Row[]; more: boolean }) {
  const fleet = fleetOf(useQuery(nodes).data?.items ?? []);
  if (fleet.nodes === 0) return null;
  const limit = more ? ` The newest ${count(rows.length)} are shown; there are older ones.` : "";
  return (
    <p>
      From {count(fleet.online)} of {plural(fleet.nodes, "node")}.{" "}
      {fleet.lost === 0
        ? "No event was lost on the way."
        : `${plural(fleet.lost, "event")} lost on ${plural(fleet.lostOn.length, "node")}: something may be missing here.`}
      {limit}
    </p>
  );
}

function Older() {
  const older = useMutation({ mutationFn: detectionFeed.reachBack });
  return (
    <div className="flex flex-wrap items-center gap-3 pt-3">
      <Button disabled={older.isPending} onClick={() => older.mutate()}>
        Show older ones
      </Button>
      {older.isError && (
        <p role="alert" className="text-sm font-medium text-danger">
          {older.error.message}
        </p>
      )}
    </div>
  );
}

function Filter({ view, q }: { view: View; q: string }) {
  const navigate = route.useNavigate();
  const id = useId();
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-3 pb-4">
      <fieldset className="flex flex-wrap gap-x-4 gap-y-1">
        <legend className="sr-only">Show</legend>
        {views.map(each => (
          <label
            key={each}
            className="cursor-pointer border-b-2 border-transparent pb-0.5 text-soft hover:text-ink has-checked:border-ink has-checked:font-semibold has-checked:text-ink has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-focus"
          >
            <input
              type="radio"
              name="view"
              className="sr-only"
              checked={view === each}
              onChange={() =>
                void navigate({
                  search: old => ({ ...old, view: each === "all" ? undefined : each }),
                  replace: true,
                })
              }
            />
            {viewName[each]}
          </label>
        ))}
      </fieldset>
      <div className="flex items-center gap-2 max-sm:w-full">
        <label htmlFor={id} className="text-sm text-soft">
          Find
        </label>
        <input
          id={id}
          type="search"
          value={q}
          placeholder="rule, host, process or SQL"
          onChange={event =>
            void navigate({ search: old => ({ ...old, q: event.target.value || undefined }), replace: true })
          }
          className="min-h-8 w-64 rounded-md border border-edge bg-sheet px-2.5 text-sm placeholder:text-faint max-sm:w-full"
        />
      </div>
    </div>
  );
}

function NoDetections({ filtered }: { filtered: boolean }) {
  const fleet = fleetOf(useQuery(nodes).data?.items ?? []);
  if (filtered) return <Empty title="None of the detections here is like that." />;
  return (
    <Empty title="Nothing was detected.">
      <p>
        {fleet.nodes === 0
          ? "No node is enrolled, so nothing is watched."
          : `${plural(fleet.online, "node")} of ${count(fleet.nodes)} report, with ${plural(fleet.connections - fleet.guarantees.unseen, "connection")} that Picket sees and ${count(fleet.guarantees.unseen)} that it does not. New detections appear here by themselves.`}
      </p>
    </Empty>
  );
}
