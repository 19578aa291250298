import type { ApiToken } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useRevokeToken } from "../../api/changes.ts";
import { apiTokens } from "../../api/queries.ts";
import { Tag } from "../../ui/badges.tsx";
import { Button } from "../../ui/button.tsx";
import { useNow } from "../../ui/clock.ts";
import { Command } from "../../ui/command.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { Section } from "../../ui/layout.tsx";
import { Asked } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { plural } from "../../ui/words.ts";
import { LabelList } from "../nodes/versions.tsx";
import { useMe } from "../shell/shell.tsx";

export function Tokens() {
  const query = useQuery(apiTokens);
  const items = query.data?.items;
  return (
    <Section
      title="API tokens"
      note={
        items &&
        `${plural(items.length, "token")} that nobody has revoked. A token is shown once, when it is made.`
      }
    >
      <Asked query={query} what="API tokens">
        {data => (
          <div className="flex flex-col gap-3">
            <Table items={data.items} />
            <Command>
              picket tokens create --api --role operator --scope team=shop --name shop-deploy --ttl 30d
            </Command>
          </div>
        )}
      </Asked>
    </Section>
  );
}

function Table({ items }: { items: readonly ApiToken[] }) {
  const [asking, setAsking] = useState<ApiToken | null>(null);
  const revoke = useRevokeToken();
  const person = useMe();
  return (
    <>
      {revoke.isError && (
        <p role="alert" className="text-sm font-medium text-danger">
          {revoke.error.message}
        </p>
      )}
      <table className="table-log max-md:block">
        <thead className="max-md:sr-only">
          <tr>
            <th>Name</th>
            <th>Role</th>
            <th>Reach</th>
            <th>Last used</th>
            <th>Ends</th>
            <th>Made</th>
            <th>
              <span className="sr-only">Change</span>
            </th>
          </tr>
        </thead>
        <tbody className="max-md:block">
          {items.map(token => (
            <Row key={token.id} token={token} busy={revoke.isPending} onRevoke={() => setAsking(token)} />
          ))}
        </tbody>
      </table>
      {asking && (
        <Confirm
          title={`Revoke ${asking.label}?`}
          action="Revoke"
          look="danger"
          busy={revoke.isPending}
          onClose={() => setAsking(null)}
          onConfirm={() => revoke.mutate(asking.id, { onSettled: () => setAsking(null) })}
        >
          Whoever uses it is refused from now on, and sessions that it began end. This cannot be undone.
          {asking.label === person.name && " You may be signed in with it yourself: then you are signed out."}
        </Confirm>
      )}
    </>
  );
}

function Row({ token, busy, onRevoke }: { token: ApiToken; busy: boolean; onRevoke: () => void }) {
  const held = Object.keys(token.scope).length > 0;
  return (
    <tr
      data-token={token.label}
      className="max-md:block max-md:border-b max-md:border-line max-md:py-3 max-md:*:block max-md:*:border-0 max-md:*:p-0"
    >
      <td className="font-semibold [overflow-wrap:anywhere]">
        <Foreign>{token.label}</Foreign>
      </td>
      <td>{token.role}</td>
      <td>{held ? <LabelList labels={token.scope} /> : "the whole fleet"}</td>
      <td>
        {token.lastUsedAt === null ? (
          <span className="text-faint">
            never<span className="md:hidden"> used</span>
          </span>
        ) : (
          <>
            <span className="text-faint md:hidden">used </span>
            <Ago at={token.lastUsedAt} />
          </>
        )}
      </td>
      <td>
        <Ends at={token.expiresAt} />
      </td>
      <td>
        <span className="text-faint md:hidden">made </span>
        <Ago at={token.createdAt} />
        <span className="text-xs text-faint md:block">
          {" "}
          by <Foreign>{token.createdBy}</Foreign>
        </span>
      </td>
      <td className="number max-md:pt-2 max-md:text-start">
        <Button look="danger" disabled={busy} aria-label={`Revoke ${token.label}`} onClick={onRevoke}>
          Revoke
        </Button>
      </td>
    </tr>
  );
}

function Ends({ at }: { at: string | null }) {
  const over = useNow(nowMs => at !== null && Date.parse(at) <= nowMs);
  if (at === null)
    return (
      <span className="text-faint">
        never<span className="md:hidden"> ends</span>
      </span>
    );
  return over ? (
    <Tag tone="warning">
      over <Ago at={at} />
    </Tag>
  ) : (
    <>
      <span className="text-faint md:hidden">ends </span>
      <Ago at={at} />
    </>
  );
}
