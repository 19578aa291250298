import type { NodeDetails } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { node } from "../../api/queries.ts";
import { GuaranteeBadge, Tag } from "../../ui/badges.tsx";
import { Fence } from "../../ui/fence.tsx";
import { Fact, Facts, PageHead, Scroll, Section } from "../../ui/layout.tsx";
import { Asked, Empty } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { bytes, connectionMeaning, count, percent, plural } from "../../ui/words.ts";
import { type ConnectionGroup, connectionGroups } from "./connection-groups.ts";
import { LabelList, Versions } from "./versions.tsx";

export function NodePage() {
  const { id } = useParams({ from: "/nodes/$id" });
  const query = useQuery(node(id));
  return (
    <>
      <p className="pb-1 text-sm">
        <Link to="/nodes">Nodes</Link>
      </p>
      <PageHead title={query.data?.hostname ?? "Node"}>
        {query.data && (
          <div className="flex flex-wrap items-baseline gap-x-3">
            <Tag tone={query.data.online ? "good" : "warning"}>
              {query.data.online ? "reports" : "silent"}
            </Tag>
            <LabelList labels={query.data.labels} />
          </div>
        )}
      </PageHead>
      <Asked query={query} what="the node">
        {data => (
          <div className="grid grid-cols-1 gap-x-10 gap-y-8 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
            <div className="flex min-w-0 flex-col gap-8">
              <Refusals node={data} />
              <Connections node={data} />
              <Judged node={data} />
            </div>
            <div className="flex min-w-0 flex-col gap-8">
              <Host node={data} />
              <Losses node={data} />
              <Missing node={data} />
              <Overrides node={data} />
            </div>
          </div>
        )}
      </Asked>
    </>
  );
}

/** A refused bundle changes nothing on the node; why it was refused is for the author of the rules. */
function Refusals({ node }: { node: NodeDetails }) {
  const refused = node.installed.filter(each => each.kind === "kept-last-good");
  return refused.map(each => (
    <div
      key={`${each.ruleSet}${each.refused}`}
      className="border-l-4 border-danger-fill bg-danger-wash px-4 py-3"
      data-refused={each.because.code}
    >
      <p className="font-semibold text-danger">
        {each.ruleSet} v{each.refused} was refused: {each.because.code}
      </p>
      <p className="text-sm">
        {each.version === null ? "No rules are enforced yet. " : `v${each.version} goes on enforcing. `}
        <Ago at={each.since} />
      </p>
      <pre className="mt-2 max-h-64 overflow-auto whitespace-pre-wrap text-xs [overflow-wrap:anywhere]">
        <Foreign>{each.because.detail}</Foreign>
      </pre>
    </div>
  ));
}

function Host({ node }: { node: NodeDetails }) {
  return (
    <Section title="Host">
      <Facts>
        <Fact name="Rules">
          <Versions installed={node.installed} />
        </Fact>
        <Fact name="Last report">{node.lastSeenAt === null ? "never" : <Ago at={node.lastSeenAt} />}</Fact>
        <Fact name="Kernel">{node.kernel}</Fact>
        <Fact name="Agent">{node.agentVersion}</Fact>
        <Fact name="Agent memory">
          {node.residentBytes === null ? "not reported" : bytes(node.residentBytes)}
        </Fact>
        <Fact name="Shapes learned">{count(node.shapesLearned)}</Fact>
        <Fact name="Enrolled">
          <Ago at={node.enrolledAt} />
        </Fact>
      </Facts>
    </Section>
  );
}

function Connections({ node }: { node: NodeDetails }) {
  const shown = node.connections.length;
  return (
    <Section
      title="Database connections"
      note={
        <>
          {shown < node.connectionsTotal
            ? `${count(shown)} of ${count(node.connectionsTotal)} are listed.`
            : `${plural(node.connectionsTotal, "connection")}.`}
          {node.lastSeenAt !== null && (
            <>
              {" "}
              As reported <Ago at={node.lastSeenAt} />.
            </>
          )}
        </>
      }
    >
      {shown === 0 ? (
        <Empty title="No database connection is open on this host.">
          <p>
            <code>picket doctor</code> on the host looks for them, and says of each one why it would be
            unseen.
          </p>
        </Empty>
      ) : (
        <>
          <Fence
            counts={node.guarantees}
            total={node.connectionsTotal}
            palesMax={120}
            className="mb-3 h-10 text-[10px]"
          />
          <Scroll label="Database connections">
            <table className="table-log">
              <thead>
                <tr>
                  <th className="number">Open</th>
                  <th>Guarantee</th>
                  <th>Workload</th>
                  <th>Database</th>
                  <th>Mode</th>
                </tr>
              </thead>
              <tbody>
                {connectionGroups(node.connections).map((group, index) => (
                  <Group key={index} group={group} />
                ))}
              </tbody>
            </table>
          </Scroll>
        </>
      )}
    </Section>
  );
}

function Group({ group: { like, count: alike, pids } }: { group: ConnectionGroup }) {
  const { process, endpoints, dialect, path, guarantee, mode, why } = like;
  return (
    <tr>
      <td className="number font-semibold">{count(alike)}</td>
      <td className="min-w-48">
        <GuaranteeBadge guarantee={guarantee} meaning={connectionMeaning[guarantee]} />
        {why && <span className="block max-w-[44ch] text-sm text-soft">{why}</span>}
      </td>
      <td>
        <Foreign>{process.workload ?? process.comm}</Foreign>
        <span className="block whitespace-nowrap text-xs text-faint">
          <Foreign>{process.comm}</Foreign>{" "}
          {pids.length === 1 ? (
            pids[0]
          ) : (
            <span title={pids.join(", ")}>{plural(pids.length, "process", "processes")}</span>
          )}
        </span>
      </td>
      <td className="whitespace-nowrap">
        {endpoints ? (
          <>
            {endpoints.remoteAddress}:{endpoints.remotePort}
          </>
        ) : (
          <Foreign>{path ?? "unknown"}</Foreign>
        )}
        <span className="block text-xs text-faint">
          {dialect === null ? "not recognised yet" : dialect === "pg" ? "PostgreSQL" : "MySQL"}
        </span>
      </td>
      <td>{mode}</td>
    </tr>
  );
}

function Judged({ node }: { node: NodeDetails }) {
  if (node.counters.length === 0) return null;
  return (
    <Section
      title="Statements by the version that judged them"
      note="Since each version was loaded on this node."
    >
      <Scroll label="Statements by version">
        <table className="table-log">
          <thead>
            <tr>
              <th>Version</th>
              <th className="number">Statements</th>
              <th className="number">Known</th>
              <th className="number" title="Seen for the first time by the kernel">
                Unknown
              </th>
              <th className="number" title="The session's state decides what they mean: judged each time">
                Never known
              </th>
              <th className="number">Blocked</th>
              <th className="number">Severed</th>
              <th className="number">Would block</th>
            </tr>
          </thead>
          <tbody>
            {node.counters.map(each => (
              <tr key={`${each.ruleSet}${each.version}`}>
                <td className="whitespace-nowrap">
                  {each.ruleSet} <span className="font-semibold">v{each.version}</span>
                </td>
                <td className="number">{count(each.statements)}</td>
                <td className="number">
                  {count(each.known)}{" "}
                  <span className="text-xs text-faint">{percent(each.known, each.statements)}</span>
                </td>
                <td className="number">{count(each.unknown)}</td>
                <td className="number">{count(each.neverKnown)}</td>
                <td className="number">{count(each.blocked)}</td>
                <td className="number">{count(each.severed)}</td>
                <td className="number">{count(each.wouldBlock)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function Losses({ node }: { node: NodeDetails }) {
  const losses = Object.entries(node.losses).filter(([, value]) => value > 0);
  return (
    <Section title="Losses">
      {losses.length === 0 ? (
        <p className="text-soft">Nothing that the kernel emitted was lost, as of the last report.</p>
      ) : (
        <table className="table-log">
          <tbody>
            {losses.map(([name, value]) => (
              <tr key={name}>
                <td>{name.replaceAll("_", " ")}</td>
                <td className="number font-semibold text-warning">{count(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

function Missing({ node }: { node: NodeDetails }) {
  return (
    <Section title="What this kernel lacks">
      {node.missing.length === 0 ? (
        <p className="text-soft">Nothing that Picket uses.</p>
      ) : (
        <ul className="flex flex-col gap-1">
          {node.missing.map(each => (
            <li key={each}>{each}</li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Overrides({ node }: { node: NodeDetails }) {
  if (node.overrides.length === 0) return null;
  return (
    <Section title="Local overrides" note="Set on the host by root, beside the signed rules. They expire.">
      <ul className="flex flex-col gap-2">
        {node.overrides.map(each => (
          <li key={each.shape}>
            <Tag tone="warning">{each.action}</Tag> <Foreign>{each.reason}</Foreign>
            <span className="block text-xs text-faint">
              shape <code>{each.shape.slice(0, 12)}</code>, expires <Ago at={each.expiresAt} />
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
