import type { ProfileOfferRow, SignedProfileRow } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { profileOffers, signedProfiles } from "../../api/queries.ts";
import { Tag } from "../../ui/badges.tsx";
import { useNow } from "../../ui/clock.ts";
import { PageHead, Scroll, Section } from "../../ui/layout.tsx";
import { Asked, Empty } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { inForceFor, newest } from "./review.ts";

export function ProfileList() {
  const offers = useQuery(profileOffers);
  const signed = useQuery(signedProfiles);
  const items = offers.data?.items ?? [];
  return (
    <>
      <PageHead title="Profiles">
        {items.length > 0 && (
          <p>
            What workloads were learned to send. A profile reaches other nodes only once a person has reviewed
            it and a release key has signed it.
          </p>
        )}
      </PageHead>
      <Asked query={offers} what="profiles">
        {data =>
          data.items.length === 0 && signed.data?.items.length === 0 ? (
            <Empty title="No node has offered a profile.">
              <p>
                A node offers what it has learned of a workload, for review. It learns where a rule set asks
                for drift, and holds no value of any literal.
              </p>
            </Empty>
          ) : (
            <div className="flex flex-col gap-8">
              <Section
                title="Offered for review"
                note={
                  data.items.length > 0 &&
                  `${plural(data.items.length, "offer")}, the newest word of each node.`
                }
              >
                <Offers items={data.items} signed={newest(signed.data?.items ?? [])} />
              </Section>
              <Section
                title="Signed"
                note="Nodes of the workload take the newest version, and judge it again."
              >
                <Asked query={signed} what="signed profiles">
                  {({ items: rows }) => <Signed items={rows} />}
                </Asked>
              </Section>
            </div>
          )
        }
      </Asked>
    </>
  );
}

/** What a driver did not say is not known. */
export function Named({ children }: { children: string }) {
  return children === "" ? <span className="text-faint">not known</span> : <Foreign>{children}</Foreign>;
}

function Offers({
  items,
  signed,
}: {
  items: readonly ProfileOfferRow[];
  signed: Map<string, SignedProfileRow>;
}) {
  if (items.length === 0) return <p className="text-soft">No node has offered one.</p>;
  return (
    <table className="table-log max-md:block">
      <thead className="max-md:sr-only">
        <tr>
          <th>Workload</th>
          <th>User</th>
          <th>Database</th>
          <th>Learned on</th>
          <th className="number">Templates</th>
          <th className="number">Signed</th>
          <th className="number">Offered</th>
        </tr>
      </thead>
      <tbody className="max-md:block">
        {items.map(row => {
          const inForce = inForceFor(row, signed);
          return (
            <tr
              key={row.id}
              data-offer={row.workload}
              className="max-md:block max-md:border-b max-md:border-line max-md:py-3 max-md:*:inline max-md:*:border-0 max-md:*:p-0 max-md:*:text-start"
            >
              <td className="max-md:!block">
                <Link
                  to="/profiles/$id"
                  params={{ id: row.id }}
                  data-row
                  className="font-semibold [overflow-wrap:anywhere]"
                >
                  <Named>{row.workload}</Named>
                </Link>
              </td>
              <td>
                <span className="text-faint md:hidden">as </span>
                <Named>{row.databaseUser}</Named>
              </td>
              <td>
                <span className="text-faint md:hidden"> to </span>
                <Named>{row.database}</Named>
              </td>
              <td className="max-md:!block">
                <Foreign>{row.hostname}</Foreign>{" "}
                {row.nodes > 1 && <span className="text-faint">fullest of {count(row.nodes)} nodes </span>}
                {row.learning && (
                  <Tag tone="busy" title="The node still learns: what it offers may grow.">
                    learning
                  </Tag>
                )}
              </td>
              <td className="number">
                {count(row.templates)}
                <span className="text-faint md:hidden"> templates · signed </span>
              </td>
              <td className="number">
                {inForce ? `v${inForce.version}` : <span className="text-faint">none</span>}
              </td>
              <td className="number">
                <span className="text-faint md:hidden"> · offered </span>
                <Ago at={row.offeredAt} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Signed({ items }: { items: readonly SignedProfileRow[] }) {
  if (items.length === 0) return <p className="text-soft">No profile is signed yet.</p>;
  const last = newest(items);
  return (
    <Scroll label="Signed profiles">
      <table className="table-log">
        <thead>
          <tr>
            <th>Workload</th>
            <th>User</th>
            <th>Database</th>
            <th>Version</th>
            <th>Signed by</th>
            <th>Pushed</th>
            <th className="number">Templates</th>
            <th className="number" title="Shapes that the reviewer left out: nodes forget their templates">
              Left out
            </th>
            <th className="number">Ends</th>
          </tr>
        </thead>
        <tbody>
          {items.map(row => (
            <tr key={row.digest}>
              <td className="min-w-40 [overflow-wrap:anywhere]">
                <Named>{row.workload}</Named>
              </td>
              <td>
                <Named>{row.databaseUser}</Named>
              </td>
              <td>
                <Named>{row.database}</Named>
              </td>
              <td className="whitespace-nowrap">
                <span className="font-semibold">v{row.version}</span>{" "}
                {inForceFor(row, last) === row && <Newest expiresAt={row.expiresAt} />}
              </td>
              <td>
                <code>{row.signedBy.map(keyid => keyid.slice(0, 12)).join(", ")}</code>
              </td>
              <td>
                <Ago at={row.pushedAt} />
                <span className="block text-xs text-faint">
                  by <Foreign>{row.pushedBy}</Foreign>
                </span>
              </td>
              <td className="number">{count(row.templates)}</td>
              <td className="number">{count(row.removed)}</td>
              <td className="number">
                <Ago at={row.expiresAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** Once it is over nodes do not take it any more; those that have keep it. */
function Newest({ expiresAt }: { expiresAt: string }) {
  const over = useNow(nowMs => Date.parse(expiresAt) <= nowMs);
  return over ? <Tag tone="warning">over</Tag> : <Tag tone="good">newest</Tag>;
}
