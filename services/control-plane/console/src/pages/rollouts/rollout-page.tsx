import type { DomainCap, GateDecision, RolloutDetails, RolloutNode } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { rollout, rollouts } from "../../api/queries.ts";
import { Tag, type Tone } from "../../ui/badges.tsx";
import { Fact, Facts, PageHead, Scroll, Section } from "../../ui/layout.tsx";
import { LongText } from "../../ui/long-text.tsx";
import { Asked } from "../../ui/states.tsx";
import { Ago, Clock } from "../../ui/time.tsx";
import { count } from "../../ui/words.ts";
import { LabelList } from "../nodes/versions.tsx";
import { Controls } from "./controls.tsx";
import { Evidence } from "./evidence.tsx";
import { Ladder } from "./ladder.tsx";
import { foldDecisions, standing, superseded } from "./progress.ts";
import { StateTag } from "./state-tag.tsx";
import { Twin } from "./twin.tsx";

export function RolloutPage() {
  const { id } = useParams({ from: "/rollouts/$id" });
  const query = useQuery(rollout(id));
  const data = query.data;
  const all = useQuery(rollouts).data?.items ?? [];
  const later = data !== undefined && superseded(data, all);
  return (
    <>
      <p className="pb-1 text-sm">
        <Link to="/rollouts">Rollouts</Link>
      </p>
      <PageHead
        title={data ? `${data.ruleSet} v${data.version}` : "Rollout"}
        aside={data && <Controls rollout={data} later={later} />}
      >
        {data && (
          <p>
            <StateTag state={data.state} /> {standing(data)}
          </p>
        )}
      </PageHead>
      <Asked query={query} what="the rollout">
        {details => (
          <div className="flex flex-col gap-8">
            {details.asks && <Asks asks={details.asks} />}
            <Steps rollout={details} later={later} />
            {details.twin && <Twin twin={details.twin} />}
            <div className="grid grid-cols-1 gap-x-10 gap-y-8 lg:grid-cols-2">
              <Gate rollout={details.id} decisions={details.decisions} />
              <Plan nodes={details.nodesPlanned} planned={details.nodes.planned} later={later} />
            </div>
          </div>
        )}
      </Asked>
    </>
  );
}

function Steps({ rollout: data, later }: { rollout: RolloutDetails; later: boolean }) {
  const { nodes } = data;
  const back = data.state === "rolling-back" || data.state === "rolled-back";
  return (
    <Section
      title="Steps"
      note={
        later &&
        `A later rollout of ${data.ruleSet} gave these nodes something else; the figures are of that.`
      }
    >
      <div className="grid grid-cols-1 gap-x-10 gap-y-6 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
        <Ladder rollout={data} nodesByStep={data.nodesByStep} />
        <Facts>
          <Fact name="Planned">{count(nodes.planned)} nodes</Fact>
          <Fact name="Reached">{count(nodes.reached)}</Fact>
          <Fact name={back ? "Returned" : "Installed"}>{count(nodes.installed)}</Fact>
          <Fact name="Refused">
            <span className={nodes.refused > 0 ? "font-semibold text-danger" : ""}>
              {count(nodes.refused)}
            </span>
          </Fact>
          {data.backtest && (
            <Fact name="Backtest">
              {data.backtest.summary ?? data.backtest.error ?? data.backtest.state},{" "}
              <Ago at={data.backtest.createdAt} />
            </Fact>
          )}
          <Fact name="Step began">
            <Ago at={data.stepStartedAt} />
          </Fact>
          <Fact name="Replaces">{data.previous === null ? "nothing" : `v${data.previous}`}</Fact>
          <Fact name="Nodes with">
            {Object.keys(data.selector).length === 0 ? "any label" : <LabelList labels={data.selector} />}
          </Fact>
          <Fact
            name="Compared"
            note={data.gate.compare === "off" ? undefined : `at most ${100 * data.gate.alpha} % false alarms`}
          >
            {data.gate.compare === "off" ? "not at all" : data.gate.compare}
          </Fact>
          {data.mode === "twin" && (
            <Fact name="Mode" note="What is stable enforces alone">
              twin
            </Fact>
          )}
          {data.domains.length > 0 && (
            <Fact name="Change at once" note={data.settle === "0s" ? undefined : `each for ${data.settle}`}>
              {data.domains.map(capText).join(", ")}
            </Fact>
          )}
          {data.state === "scheduled" && data.startAt !== null && (
            <Fact name="Begins">
              <Ago at={data.startAt} />
            </Fact>
          )}
          <Fact name="Started">
            <Ago at={data.createdAt} />, by {data.createdBy}
          </Fact>
        </Facts>
      </div>
    </Section>
  );
}

const capText = (cap: DomainCap): string =>
  "nodes" in cap ? `${cap.nodes} of a ${cap.label}` : `${cap.percent} % of a ${cap.label}`;

/** A person is what it waits for: said above everything else. */
function Asks({ asks }: { asks: NonNullable<RolloutDetails["asks"]> }) {
  return (
    <p role="status" className="border-l-4 border-warning bg-warning-wash px-3 py-2">
      <span className="font-semibold">Waits for a person.</span> Step {asks.step + 1} begins when it is
      approved: {asks.because}.
    </p>
  );
}

const decisionTone: Record<GateDecision["kind"], Tone> = {
  advance: "good",
  wait: "plain",
  "roll-back": "danger",
};

function Gate({ rollout: id, decisions }: { rollout: string; decisions: readonly GateDecision[] }) {
  const folded = foldDecisions(decisions);
  return (
    <Section title="What the gate decided, and why">
      {folded.length === 0 ? (
        <p className="text-soft">It has not looked yet.</p>
      ) : (
        <ol>
          {folded.map(each => (
            <li
              key={`${each.at}${each.kind}`}
              className="grid grid-cols-[5rem_minmax(0,1fr)] gap-x-3 border-b border-line py-2 last:border-0"
            >
              <span className="text-sm text-faint">
                <Clock at={each.at} />
              </span>
              <span>
                <Tag tone={decisionTone[each.kind]}>{each.kind.replace("-", " ")}</Tag>{" "}
                <span className="text-faint">step {each.step + 1}</span>
                <LongText>{each.because}</LongText>
                {each.signals && each.signals.length > 0 && (
                  <Evidence rollout={id} decision={each.id} signals={each.signals} />
                )}
                {each.times > 1 && (
                  <span className="block text-xs text-faint">
                    {count(each.times)} times since <Clock at={each.firstAt} />
                  </span>
                )}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Section>
  );
}

const nodeTone: Record<RolloutNode["state"], Tone> = {
  planned: "plain",
  assigned: "busy",
  delivered: "busy",
  installed: "good",
  refused: "danger",
};

function Plan({ nodes, planned, later }: { nodes: readonly RolloutNode[]; planned: number; later: boolean }) {
  const ordered = nodes.toSorted((a, b) => a.step - b.step || a.bucket - b.bucket);
  const more = planned - nodes.length;
  return (
    <Section
      title="Nodes, in the order they are reached"
      note={
        later
          ? "Fixed before the rollout began. Their states are of the later rollout."
          : "Fixed before the rollout began."
      }
    >
      {more > 0 && (
        <p className="text-soft">
          {count(nodes.length)} of {count(planned)}: those that refused it, those that have not installed it
          yet, and then the first.
        </p>
      )}
      {ordered.length === 0 ? (
        <p className="text-soft">No node carries the labels that this rollout selects.</p>
      ) : (
        <Scroll label="Nodes of the rollout">
          <table className="table-log">
            <thead>
              <tr>
                <th>Step</th>
                <th>Node</th>
                <th>State</th>
              </tr>
            </thead>
            <tbody>
              {ordered.map(each => (
                <tr key={each.node}>
                  <td>{each.step + 1}</td>
                  <td>
                    <Link to="/nodes/$id" params={{ id: each.node }} className="md:whitespace-nowrap">
                      {each.hostname}
                    </Link>
                  </td>
                  <td>
                    <Tag tone={nodeTone[each.state]}>{each.state}</Tag>
                    {each.detail && (
                      <div className="text-sm text-soft">
                        <LongText>{each.detail}</LongText>
                      </div>
                    )}
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
