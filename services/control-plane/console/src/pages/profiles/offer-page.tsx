import type { ProfileOfferDetails } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { profileOffer } from "../../api/queries.ts";
import { Tag, type Tone } from "../../ui/badges.tsx";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/command.tsx";
import { Fact, Facts, PageHead, Section } from "../../ui/layout.tsx";
import { Sql } from "../../ui/sql.tsx";
import { Asked } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { Named } from "./profile-list.tsx";
import { commandsOf, handleOf, type Reviewed, reviewed, statementOf } from "./review.ts";

/** As many as are drawn at once: a profile holds up to 20,000. */
const SHOWN_STEP = 200;

export function OfferPage() {
  const { id } = useParams({ from: "/profiles/$id" });
  const query = useQuery(profileOffer(id));
  const { data } = query;
  return (
    <>
      <p className="pb-1 text-sm">
        <Link to="/profiles">Profiles</Link>
      </p>
      <PageHead title={data ? data.workload || "Workload not known" : "Profile"}>
        {data && <p>{summary(data)}</p>}
      </PageHead>
      <Asked query={query} what="the profile">
        {offer => <Review key={offer.offeredAt} offer={offer} />}
      </Asked>
    </>
  );
}

function summary({ inForce, added, changed, missing, templates }: ProfileOfferDetails): string {
  if (inForce === null) return `${plural(templates, "template")}, none signed yet.`;
  if (added.length + changed.length + missing.length === 0)
    return `The same as the signed version ${inForce}.`;
  const grew = changed.length > 0 ? `, ${count(changed.length)} that grew` : "";
  const lacks = missing.length > 0 ? `, and lacks ${count(missing.length)} that it holds` : "";
  return `${plural(added.length, "template")} more than the signed version ${inForce}${grew}${lacks}.`;
}

function Review({ offer }: { offer: ProfileOfferDetails }) {
  // Shapes of the templates that the reviewer leaves out, in the order of their choice.
  const [left, setLeft] = useState<readonly string[]>([]);
  const toggle = (shape: string) =>
    setLeft(old => (old.includes(shape) ? old.filter(each => each !== shape) : [...old, shape]));
  return (
    <div className="grid grid-cols-1 gap-x-10 gap-y-8 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
      <Templates rows={reviewed(offer)} left={left} onToggle={toggle} />
      <div className="flex min-w-0 flex-col gap-8 max-lg:order-first">
        <Section title="Learned by">
          <Facts>
            <Fact name="Node">
              <Link to="/nodes/$id" params={{ id: offer.node }}>
                {offer.hostname}
              </Link>
            </Fact>
            <Fact name="Database user">
              <Named>{offer.databaseUser}</Named>
            </Fact>
            <Fact name="Database">
              <Named>{offer.database}</Named>
            </Fact>
            <Fact name="Phase">{offer.learning ? "learning: it may grow" : "learned"}</Fact>
            <Fact name="Offered">
              <Ago at={offer.offeredAt} />
            </Fact>
            <Fact name="Signed">{offer.inForce === null ? "none yet" : `v${offer.inForce}`}</Fact>
          </Facts>
        </Section>
        <Sign offer={offer} left={left} />
      </div>
    </div>
  );
}

function Sign({ offer, left }: { offer: ProfileOfferDetails; left: readonly string[] }) {
  const { review, sign, push } = commandsOf(offer, left);
  const vouched = new Set(offer.profile.templates.flatMap(({ rules }) => rules));
  return (
    <Section title="To sign it" note="On the host that holds the release key: it is never here.">
      <div className="flex flex-col gap-2">
        <p className="text-sm text-soft">
          {left.length === 0
            ? "All templates that are offered:"
            : `Without ${plural(left.length, "template")}, which nodes then forget:`}
        </p>
        <Command>{review}</Command>
        <Command>{sign}</Command>
        <Command>{push}</Command>
        {vouched.size > 0 && (
          <p className="text-sm text-warning">
            Who signs says that statements which {[...vouched].join(", ")} matched are honest, unless their
            templates are left out.
          </p>
        )}
      </div>
    </Section>
  );
}

const stateTone: Record<Reviewed["state"], Tone> = {
  new: "busy",
  changed: "busy",
  missing: "plain",
  "in-force": "good",
};
const stateName: Record<Reviewed["state"], string> = {
  new: "new",
  changed: "more shapes or rules than signed",
  missing: "only in the signed one",
  "in-force": "signed",
};

function Templates({
  rows,
  left,
  onToggle,
}: {
  rows: readonly Reviewed[];
  left: readonly string[];
  onToggle: (shape: string) => void;
}) {
  const [shown, setShown] = useState(SHOWN_STEP);
  return (
    <Section
      title="Templates"
      note="What is new comes first. A question mark stands for a literal; no value is kept of it."
    >
      <ul>
        {rows.slice(0, shown).map(row => (
          <Template
            key={`${row.state}${row.template.dialect}${row.template.words}`}
            row={row}
            left={left}
            onToggle={onToggle}
          />
        ))}
      </ul>
      {rows.length > shown && (
        <p className="flex flex-wrap items-center gap-3 pt-3 text-sm text-soft">
          {count(shown)} of {count(rows.length)} are shown.
          <Button onClick={() => setShown(shown + SHOWN_STEP)}>Show more</Button>
        </p>
      )}
    </Section>
  );
}

function Template({
  row: { state, template },
  left,
  onToggle,
}: {
  row: Reviewed;
  left: readonly string[];
  onToggle: (shape: string) => void;
}) {
  const shape = handleOf(template);
  const out = shape !== null && left.includes(shape);
  return (
    <li
      data-template={state}
      className="grid gap-x-6 gap-y-1 border-b border-line py-2.5 last:border-0 md:grid-cols-[minmax(0,1fr)_auto]"
    >
      <div className="min-w-0">
        <p className={`text-sm [overflow-wrap:anywhere] ${out ? "line-through" : ""}`}>
          <Sql sql={statementOf(template)} />
        </p>
        <p className="flex flex-wrap items-baseline gap-x-3 gap-y-1 pt-1 text-xs text-faint">
          <Tag tone={stateTone[state]}>{stateName[state]}</Tag>
          {template.rules.length > 0 && (
            <Tag tone="warning" title="Nodes leave it out, unless who signs accepts these rules for it.">
              <Foreign>{`matched by ${template.rules.join(", ")}`}</Foreign>
            </Tag>
          )}
          <span>seen {plural(template.count, "time")}</span>
          <span>{plural(template.processes, "process", "processes")}</span>
          {template.firstSeenMs > 0 && (
            <span>
              first <Ago at={new Date(template.firstSeenMs).toISOString()} />
            </span>
          )}
        </p>
      </div>
      {state !== "missing" && shape !== null && (
        <label className="flex items-start gap-2 whitespace-nowrap text-sm">
          <input
            type="checkbox"
            className="mt-1"
            checked={out}
            aria-label={`Leave out: ${statementOf(template)}`}
            onChange={() => onToggle(shape)}
          />
          Leave out
        </label>
      )}
    </li>
  );
}
