import type { Node } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { useDetections } from "../../api/detections.ts";
import { alerts, nodes, rollouts } from "../../api/queries.ts";
import { GuaranteeBadge } from "../../ui/badges.tsx";
import { Fence } from "../../ui/fence.tsx";
import { Section } from "../../ui/layout.tsx";
import { Asked, Loading } from "../../ui/states.tsx";
import { connectionMeaning, count, guarantees, percent, plural } from "../../ui/words.ts";
import { AlertRow } from "../alerts/alert-list.tsx";
import { byUrgency } from "../alerts/order.ts";
import { DetectionRow } from "../detections/detection-row.tsx";
import { Enrol } from "../nodes/enrol.tsx";
import { type Fleet, fleetOf } from "../nodes/fleet.ts";
import { RolloutRow } from "../rollouts/rollout-list.tsx";
import { coverageHeadline, coverageRest, coverageSource } from "./coverage.ts";

const ALERTS_SHOWN = 5;
const DETECTIONS_SHOWN = 10;
const PALES_MAX = 150;

export function Overview() {
  const fleet = useQuery(nodes);
  useEffect(() => {
    document.title = "Overview · Picket";
  }, []);
  return (
    <Asked query={fleet} what="the fleet">
      {({ items, complete }) => (
        <div className="flex flex-col gap-9">
          <Coverage nodes={items} complete={complete} />
          <Running />
          <div className="grid grid-cols-1 gap-x-10 gap-y-9 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
            <Latest />
            <OpenAlerts />
          </div>
        </div>
      )}
    </Asked>
  );
}

function Coverage({ nodes: items, complete }: { nodes: readonly Node[]; complete: boolean }) {
  const fleet = fleetOf(items);
  return (
    <div>
      <h1 className="max-w-[34ch] text-2xl font-semibold tracking-tight">{coverageHeadline(fleet)}</h1>
      <p className="mt-1.5 max-w-[80ch] text-lg text-soft">{coverageRest(fleet)}</p>
      <p className="max-w-[80ch] text-sm text-faint">
        {coverageSource(fleet)}
        {!complete && " There are more nodes than this page adds up."}
      </p>
      {fleet.nodes === 0 ? (
        <div className="mt-4 flex max-w-[64ch] flex-col gap-3 text-soft">
          <Enrol />
        </div>
      ) : (
        fleet.connections > 0 && <Guarantees fleet={fleet} />
      )}
    </div>
  );
}

function Guarantees({ fleet }: { fleet: Fleet }) {
  return (
    <>
      <Fence
        counts={fleet.guarantees}
        total={fleet.connections}
        palesMax={PALES_MAX}
        className="mt-5 h-16 text-[14px] sm:h-20"
      />
      <p className="pt-1 text-xs text-faint">
        {fleet.connections <= PALES_MAX
          ? "Each pale is a connection."
          : `Each pale is about ${count(Math.round(fleet.connections / PALES_MAX))} connections.`}
      </p>
      <dl className="mt-3 grid grid-cols-2 gap-x-8 gap-y-4 lg:grid-cols-4">
        {guarantees.map(guarantee => (
          <div key={guarantee} data-figure={guarantee}>
            <dt className="flex items-baseline justify-between gap-2 sm:justify-start sm:gap-3">
              <GuaranteeBadge guarantee={guarantee} meaning={connectionMeaning[guarantee]} />
            </dt>
            <dd>
              <span className="text-xl font-semibold">{count(fleet.guarantees[guarantee])}</span>{" "}
              <span className="text-sm text-faint">
                {percent(fleet.guarantees[guarantee], fleet.connections)} of {count(fleet.connections)}
              </span>
              <span className="block text-sm text-soft max-sm:sr-only">{connectionMeaning[guarantee]}</span>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Running() {
  const query = useQuery(rollouts);
  if (!query.data) return null;
  const open = query.data.items.filter(each => each.finishedAt === null);
  const last = query.data.items[0];
  return (
    <Section title="Rollout" aside={<Link to="/rollouts">All rollouts</Link>}>
      {open.length > 0 ? (
        <ul className="-mt-1">
          {open.map(each => (
            <RolloutRow key={each.id} rollout={each} />
          ))}
        </ul>
      ) : last ? (
        <>
          <p className="text-soft">None is under way. The last one:</p>
          <ul>
            <RolloutRow rollout={last} />
          </ul>
        </>
      ) : (
        <p className="text-soft">
          None yet. Nodes judge by no rules until a signed version is rolled out to them.
        </p>
      )}
    </Section>
  );
}

function OpenAlerts() {
  const query = useQuery(alerts);
  const open = (query.data?.items ?? []).filter(alert => alert.state === "open").toSorted(byUrgency);
  return (
    <Section title="Open alerts" aside={<Link to="/alerts">All alerts</Link>}>
      {!query.data ? (
        <Loading what="alerts" />
      ) : open.length === 0 ? (
        <p className="text-soft">None.</p>
      ) : (
        <>
          <ul>
            {open.slice(0, ALERTS_SHOWN).map(alert => (
              <AlertRow key={alert.id} alert={alert} brief />
            ))}
          </ul>
          {open.length > ALERTS_SHOWN && (
            <p className="pt-2 text-sm text-soft">and {plural(open.length - ALERTS_SHOWN, "other")}</p>
          )}
        </>
      )}
    </Section>
  );
}

function Latest() {
  const feed = useDetections();
  return (
    <Section title="Latest detections" aside={<Link to="/detections">All detections</Link>}>
      {!feed.filled ? (
        <Loading what="detections" />
      ) : feed.rows.length === 0 ? (
        <p className="text-soft">Nothing was detected.</p>
      ) : (
        <ol className="@container">
          {feed.rows.slice(0, DETECTIONS_SHOWN).map(row => (
            <DetectionRow key={row.sequence} row={row} arrived={row.sequence > feed.firstSequence} />
          ))}
        </ol>
      )}
    </Section>
  );
}
