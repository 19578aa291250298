import type { Node } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { nodes } from "../../api/queries.ts";
import { Fence } from "../../ui/fence.tsx";
import { PageHead } from "../../ui/layout.tsx";
import { Asked, Empty } from "../../ui/states.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, guarantees, plural } from "../../ui/words.ts";
import { Enrol } from "./enrol.tsx";
import { fleetOf } from "./fleet.ts";
import { LabelList, Versions } from "./versions.tsx";

export function NodeList() {
  const query = useQuery(nodes);
  const fleet = fleetOf(query.data?.items ?? []);
  return (
    <>
      <PageHead title="Nodes">
        {query.data && query.data.items.length > 0 && (
          <p>
            {fleet.online === fleet.nodes
              ? `All ${plural(fleet.nodes, "node")} report.`
              : `${count(fleet.online)} of ${plural(fleet.nodes, "node")} report.`}
            {fleet.refusing.length > 0 && ` ${plural(fleet.refusing.length, "node")} refused a bundle.`}
            {!query.data.complete && " There are more than are shown here."}
          </p>
        )}
      </PageHead>
      <Asked query={query} what="nodes">
        {({ items }) => (items.length === 0 ? <NoNodes /> : <NodeTable nodes={items} />)}
      </Asked>
    </>
  );
}

function NoNodes() {
  return (
    <Empty title="No node is enrolled yet.">
      <Enrol />
    </Empty>
  );
}

function NodeTable({ nodes: items }: { nodes: readonly Node[] }) {
  return (
    <table className="table-log max-md:block">
      <thead className="max-md:sr-only">
        <tr>
          <th>Node</th>
          <th>Rules</th>
          <th className="w-[34%]">Database connections by guarantee</th>
          <th className="number">Events lost</th>
          <th className="number">Last report</th>
        </tr>
      </thead>
      <tbody className="max-md:block">
        {items.map(node => (
          <tr
            key={node.id}
            className="max-md:block max-md:border-b max-md:border-line max-md:py-3 max-md:*:block max-md:*:border-0 max-md:*:p-0"
          >
            <td>
              <Link
                to="/nodes/$id"
                params={{ id: node.id }}
                data-row
                className="font-semibold [overflow-wrap:anywhere]"
              >
                {node.hostname}
              </Link>
              <LabelList labels={node.labels} />
            </td>
            <td>
              <Versions installed={node.installed} />
            </td>
            <td className="max-md:!pt-1.5">
              {node.online ? (
                <GuaranteeFigures node={node} />
              ) : (
                <span className="text-faint">
                  unknown while the node is silent
                  {node.connectionsTotal > 0 && `; it had ${count(node.connectionsTotal)}`}
                </span>
              )}
            </td>
            <td className="number max-md:!inline max-md:text-start">
              {node.eventsLost > 0 ? (
                <span className="font-semibold text-warning">{count(node.eventsLost)}</span>
              ) : (
                <span className="text-faint">0</span>
              )}
              <span className="text-faint md:hidden"> events lost · </span>
            </td>
            <td className="number max-md:!inline max-md:text-start">
              {node.lastSeenAt === null ? (
                <span className="text-warning">never reported</span>
              ) : (
                <span className={node.online ? "" : "font-semibold text-warning"}>
                  <Ago at={node.lastSeenAt} />
                </span>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function GuaranteeFigures({ node }: { node: Node }) {
  const told = guarantees.filter(guarantee => node.guarantees[guarantee]);
  if (node.connectionsTotal === 0 && told.length === 0) return <span className="text-faint">none open</span>;
  return (
    <div className="flex flex-wrap items-end gap-x-4 gap-y-1">
      <Fence
        counts={node.guarantees}
        total={node.connectionsTotal}
        palesMax={40}
        className="h-5 w-40 text-[8px]"
      />
      <span className="flex flex-wrap gap-x-3 text-sm">
        {told.map(guarantee => (
          <span key={guarantee} data-guarantee={guarantee} className="whitespace-nowrap">
            <span className="font-semibold">{count(node.guarantees[guarantee] ?? 0)}</span>{" "}
            <span className="text-soft">{guarantee}</span>
          </span>
        ))}
      </span>
    </div>
  );
}
