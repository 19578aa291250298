import type { Policy } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { policyHistory, shippedPolicies } from "../../api/queries.ts";
import { Tag } from "../../ui/badges.tsx";
import { Command } from "../../ui/command.tsx";
import { Section } from "../../ui/layout.tsx";
import { Asked } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { plural } from "../../ui/words.ts";
import { isRemoved, type OwnPolicy, ownPolicies } from "./policies.ts";

export function OwnPolicies() {
  const query = useQuery(policyHistory);
  return (
    <Section title="The fleet's own policies" note="Beside the shipped ones. One forbid beats every permit.">
      <Asked query={query} what="policies">
        {({ items }) => {
          const own = ownPolicies(items);
          return (
            <div className="flex flex-col gap-3">
              {own.length === 0 ? (
                <p className="text-soft">There is none: the shipped policies alone decide.</p>
              ) : (
                <ul>
                  {own.map(policy => (
                    <Own key={policy.name} policy={policy} />
                  ))}
                </ul>
              )}
              <Command>picket policy put production.cedar</Command>
            </div>
          );
        }}
      </Asked>
    </Section>
  );
}

function Own({ policy }: { policy: OwnPolicy }) {
  const [newest, ...earlier] = policy.versions;
  return (
    <li data-policy={policy.name} className="border-b border-line py-2.5 last:border-0">
      <p className="flex flex-wrap items-baseline gap-x-2">
        <span className="font-semibold">{policy.name}</span>
        {isRemoved(policy) ? <Tag>removed</Tag> : <Tag tone="good">in force</Tag>}
        <Version policy={newest} />
      </p>
      {newest.text !== null && <Cedar text={newest.text} />}
      {earlier.length > 0 && (
        <details className="pt-2">
          <summary className="text-sm text-soft">{plural(earlier.length, "earlier version")}</summary>
          <ul className="flex flex-col gap-3 pt-2">
            {earlier.map(each => (
              <li key={each.version}>
                <Version policy={each} />
                {each.text === null ? (
                  <p className="text-sm text-soft">It was removed.</p>
                ) : (
                  <Cedar text={each.text} />
                )}
              </li>
            ))}
          </ul>
        </details>
      )}
    </li>
  );
}

function Version({ policy }: { policy: Policy }) {
  return (
    <span className="text-xs text-faint">
      version {policy.version}, by <Foreign>{policy.createdBy}</Foreign>, <Ago at={policy.createdAt} />
    </span>
  );
}

export function ShippedPolicies() {
  const query = useQuery(shippedPolicies);
  return (
    <Section title="Shipped policies" note="Of this version of Picket. They are always in force.">
      <Asked query={query} what="the shipped policies">
        {({ items }) => (
          <ul>
            {items.map(({ name, text }) => (
              <li key={name}>
                <details>
                  <summary className="text-sm text-soft">{name}.cedar</summary>
                  <Cedar text={text.trim()} />
                </details>
              </li>
            ))}
          </ul>
        )}
      </Asked>
    </Section>
  );
}

function Cedar({ text }: { text: string }) {
  return (
    <pre className="mt-2 overflow-x-auto whitespace-pre-wrap rounded-md border border-line bg-sheet px-3 py-2 text-sm [overflow-wrap:anywhere]">
      <code>
        <Foreign>{text}</Foreign>
      </code>
    </pre>
  );
}
