import type { SharedVerdictRow } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { immunity, nodes, sharedVerdicts } from "../../api/queries.ts";
import { Tag } from "../../ui/badges.tsx";
import { PageHead, Section } from "../../ui/layout.tsx";
import { Sql } from "../../ui/sql.tsx";
import { Asked, Empty } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { disbelievers, isStanding, reasons, standingOf, stateName, stateTone } from "./answers.ts";
import { Leave, SharingState, SharingSwitch } from "./sharing.tsx";

export function VerdictList() {
  const status = useQuery(immunity);
  const standing = status.data && standingOf(status.data);
  return (
    <>
      <PageHead title="Immunity" aside={<SharingSwitch />}>
        {standing?.kind === "on" && <p>{standing.text}</p>}
      </PageHead>
      <Asked query={status} what="what the fleet shares">
        {data => (
          <div className="flex flex-col gap-8">
            <div>
              <SharingState status={data} />
              <Verdicts />
            </div>
            <Leave status={data} />
          </div>
        )}
      </Asked>
    </>
  );
}

function Verdicts() {
  const query = useQuery(sharedVerdicts);
  return (
    <Asked query={query} what="shared verdicts">
      {({ items, complete }) => {
        if (items.length === 0)
          return (
            <Empty title="No node has claimed a hostile shape.">
              <p>
                A node claims a shape once it has judged it an attack that its rules block. Only the shape
                travels: it holds no literal.
              </p>
            </Empty>
          );
        const standing = items.filter(isStanding);
        const ended = items.filter(row => !isStanding(row));
        return (
          <div className="flex flex-col gap-8">
            <Section title="In force">
              {standing.length === 0 ? (
                <p className="text-soft">Nothing is shared now.</p>
              ) : (
                <Rows items={standing} />
              )}
            </Section>
            {ended.length > 0 && (
              <Section title="Ended" note={!complete && "There are older ones than are shown here."}>
                <Rows items={ended} />
              </Section>
            )}
          </div>
        );
      }}
    </Asked>
  );
}

function Rows({ items }: { items: readonly SharedVerdictRow[] }) {
  const hostnames = new Map(useQuery(nodes).data?.items.map(node => [node.id, node.hostname]));
  return (
    <ul>
      {items.map(row => (
        <VerdictRow key={row.id} row={row} source={hostnames.get(row.source) ?? row.source.slice(0, 8)} />
      ))}
    </ul>
  );
}

function VerdictRow({ row, source }: { row: SharedVerdictRow; source: string }) {
  return (
    <li
      data-verdict={row.state}
      className="grid gap-x-8 gap-y-1.5 border-b border-line py-2.5 last:border-0 md:grid-cols-[minmax(0,3fr)_minmax(0,1fr)_minmax(0,1fr)]"
    >
      <div className="min-w-0">
        <p className="flex flex-wrap items-baseline gap-x-2">
          <Link to="/immunity/$id" params={{ id: row.id }} className="font-semibold [overflow-wrap:anywhere]">
            <Foreign>{row.rule}</Foreign>
          </Link>
          <Tag tone={stateTone[row.state]}>{stateName[row.state]}</Tag>
        </p>
        <p className="line-clamp-3 text-sm [overflow-wrap:anywhere]">
          <Sql sql={row.text} />
        </p>
        <p className="flex flex-wrap gap-x-3 text-xs text-faint">
          <span>
            first judged by <Foreign>{source}</Foreign>, <Ago at={row.judgedAt} />
          </span>
          {row.claims > 1 && <span>{plural(row.claims, "node")} claim it</span>}
        </p>
      </div>
      <div className="min-w-0 text-sm">
        <Belief row={row} />
      </div>
      <div className="min-w-0 text-sm">
        <Ending row={row} />
      </div>
    </li>
  );
}

function Belief({ row }: { row: SharedVerdictRow }) {
  const not = disbelievers(row.refused);
  if (row.state === "pending") return <p className="text-faint">Not told to nodes yet.</p>;
  if (row.issuedAt === null) return null;
  if (row.believed + not === 0) return <p className="text-faint">No node answered.</p>;
  const over = !isStanding(row);
  return (
    <>
      <p>
        {over
          ? `${plural(row.believed, "node")} believed it`
          : plural(row.believed, "node believes it", "nodes believe it")}
      </p>
      {not > 0 && (
        <p className="text-soft">
          {over ? `${count(not)} did not` : plural(not, "does not", "do not")}: {reasons(row.refused)}
        </p>
      )}
    </>
  );
}

/** When it ends, or how it ended. */
export function Ending({ row }: { row: SharedVerdictRow }) {
  if (row.state === "in-force" && row.expiresAt !== null)
    return (
      <p>
        ends <Ago at={row.expiresAt} />
      </p>
    );
  if (row.endedAt === null && row.because === null) return null;
  return (
    <p className="text-soft [overflow-wrap:anywhere]">
      {row.because !== null && <Foreign>{row.because}</Foreign>}
      <span className="block text-xs text-faint">
        {stateName[row.state]}
        {row.endedBy !== null && (
          <>
            {" "}
            by <Foreign>{row.endedBy}</Foreign>
          </>
        )}
        {row.endedAt !== null && (
          <>
            {" "}
            <Ago at={row.endedAt} />
          </>
        )}
      </span>
    </p>
  );
}
