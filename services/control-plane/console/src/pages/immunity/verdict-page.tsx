import type { SharedVerdictDetails } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { mayOperate, reachesFleet, useRevokeVerdict } from "../../api/changes.ts";
import { nodes, sharedVerdict } from "../../api/queries.ts";
import { Tag } from "../../ui/badges.tsx";
import { Button } from "../../ui/button.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { Fact, Facts, PageHead, Scroll, Section } from "../../ui/layout.tsx";
import { Reason } from "../../ui/reason.tsx";
import { Sql } from "../../ui/sql.tsx";
import { Asked } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago, Clock } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { useMe } from "../shell/shell.tsx";
import { disbeliefMeaning, disbelievers, isStanding, stateName, stateTone } from "./answers.ts";
import { Ending } from "./verdict-list.tsx";

export function VerdictPage() {
  const { id } = useParams({ from: "/immunity/$id" });
  const query = useQuery(sharedVerdict(id));
  const { data } = query;
  return (
    <>
      <p className="pb-1 text-sm">
        <Link to="/immunity">Immunity</Link>
      </p>
      <PageHead
        title={data ? `Shared verdict: ${data.rule}` : "Shared verdict"}
        aside={data && <Revoke row={data} />}
      >
        {data && <Tag tone={stateTone[data.state]}>{stateName[data.state]}</Tag>}
      </PageHead>
      <Asked query={query} what="the shared verdict">
        {row => (
          <div className="grid grid-cols-1 gap-x-10 gap-y-8 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
            <div className="flex min-w-0 flex-col gap-8">
              <Section title="Shape" note="What travels. It holds no literal: each is a question mark.">
                <Sql sql={row.text} block />
              </Section>
              <Answers row={row} />
            </div>
            <Story row={row} />
          </div>
        )}
      </Asked>
    </>
  );
}

function Story({ row }: { row: SharedVerdictDetails }) {
  const source = useQuery(nodes).data?.items.find(node => node.id === row.source);
  return (
    <Section title="How it came about">
      <Facts>
        <Fact name="First judged" note={<Ago at={row.judgedAt} />}>
          <Link to="/nodes/$id" params={{ id: row.source }}>
            {source?.hostname ?? row.source.slice(0, 8)}
          </Link>
        </Fact>
        <Fact name="Claimed by">{plural(row.claims, "node")}</Fact>
        <Fact name="Rule" note={`${row.ruleSet} v${row.version}`}>
          <Foreign>{row.rule}</Foreign>
        </Fact>
        <Fact name="Database">{row.dialect === "pg" ? "PostgreSQL" : "MySQL"}</Fact>
        <Fact name="Signed">{row.issuedAt === null ? "never" : <Ago at={row.issuedAt} />}</Fact>
        <Fact name={isStanding(row) ? "Ends" : "Ended"}>
          {row.state === "in-force" && row.expiresAt !== null ? (
            <Ago at={row.expiresAt} />
          ) : row.state === "pending" ? (
            "not signed yet"
          ) : (
            <Ending row={row} />
          )}
        </Fact>
        <Fact name="Digest">
          <code className="text-xs">{row.shape.slice(0, 16)}</code>
        </Fact>
      </Facts>
    </Section>
  );
}

function Answers({ row }: { row: SharedVerdictDetails }) {
  const not = disbelievers(row.refused);
  const all = row.believed + not;
  return (
    <Section
      title="What nodes made of it"
      note={
        all > row.nodes.length
          ? `The first ${count(row.nodes.length)} of ${count(all)} answers.`
          : all > 0 &&
            `${plural(row.believed, "node believes it", "nodes believe it")}, ${count(not)} do not.`
      }
    >
      {row.nodes.length === 0 ? (
        <p className="text-soft">
          {row.issuedAt === null ? "It was told to no node." : "No node has answered yet."}
        </p>
      ) : (
        <Scroll label="Answers of nodes">
          <table className="table-log">
            <thead>
              <tr>
                <th>Node</th>
                <th>Answer</th>
              </tr>
            </thead>
            <tbody>
              {row.nodes.map(each => (
                <tr key={each.node}>
                  <td>
                    <Link to="/nodes/$id" params={{ id: each.node }} className="md:whitespace-nowrap">
                      {each.hostname}
                    </Link>
                  </td>
                  <td>
                    {each.because === null ? (
                      <Tag tone="good">believed</Tag>
                    ) : (
                      <>
                        <Tag tone="warning">{each.because.replaceAll("-", " ")}</Tag>
                        <span className="block text-sm text-soft">{disbeliefMeaning[each.because]}</span>
                      </>
                    )}
                    <span className="block text-xs text-faint">
                      <Clock at={each.at} />
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Section>
  );
}

function Revoke({ row }: { row: SharedVerdictDetails }) {
  const person = useMe();
  const change = useRevokeVerdict(row.id);
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState("");
  const close = () => setAsking(false);
  const allowed = mayOperate(person.role) && reachesFleet(person);
  if (!isStanding(row) && !change.isError) return null;
  return (
    <div>
      <Button look="danger" disabled={!allowed || !isStanding(row)} onClick={() => setAsking(true)}>
        Take it back
      </Button>
      {!allowed && (
        <p className="pt-1 text-xs text-faint">Your role is {person.role}; an operator may take it back.</p>
      )}
      {change.isError && (
        <p role="alert" className="max-w-[40ch] pt-1 text-sm font-medium text-danger">
          {change.error.message}
        </p>
      )}
      {asking && (
        <Confirm
          title={`Take ${row.rule} back?`}
          action="Take it back"
          look="danger"
          busy={change.isPending || reason.trim() === ""}
          onClose={close}
          onConfirm={() => change.mutate(reason.trim(), { onSettled: close })}
        >
          <p>
            No node denies this shape by the fleet's word any more ({plural(row.believed, "node")} now). A
            node whose own rules call it an attack goes on judging so.
          </p>
          <Reason value={reason} onChange={setReason} />
        </Confirm>
      )}
    </div>
  );
}
