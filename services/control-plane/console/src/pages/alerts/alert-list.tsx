import type { Alert } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { mayOperate, useAcknowledge } from "../../api/changes.ts";
import { alerts, nodes } from "../../api/queries.ts";
import { PriorityBadge, Tag } from "../../ui/badges.tsx";
import { Button } from "../../ui/button.tsx";
import { PageHead, Section } from "../../ui/layout.tsx";
import { LongText } from "../../ui/long-text.tsx";
import { Asked, Empty } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { useMe } from "../shell/shell.tsx";
import { byUrgency, ticketLink } from "./order.ts";

export function AlertList() {
  const query = useQuery(alerts);
  const items = query.data?.items ?? [];
  const open = items.filter(alert => alert.state === "open").length;
  return (
    <>
      <PageHead title="Alerts">
        {items.length > 0 && (
          <p>
            {open === 0 ? "None is open." : `${count(open)} open.`} One cause is one alert, however often it
            is seen; it is resolved when its cause is gone.
          </p>
        )}
      </PageHead>
      <Asked query={query} what="alerts">
        {data => {
          if (data.items.length === 0)
            return (
              <Empty title="No alert was ever raised.">
                <p>
                  An alert comes from a detection, a refused bundle, lost events or a certificate. A node that
                  is silent raises nothing: see that all of them report.
                </p>
              </Empty>
            );
          const standing = data.items.filter(alert => alert.state !== "resolved");
          const resolved = data.items.filter(alert => alert.state === "resolved");
          return (
            <div className="flex flex-col gap-8">
              <Section title="Open and acknowledged">
                {standing.length === 0 ? (
                  <p className="text-soft">Every cause is gone.</p>
                ) : (
                  <Rows items={standing} />
                )}
              </Section>
              {resolved.length > 0 && (
                <Section title="Resolved">
                  <Rows items={resolved} />
                </Section>
              )}
            </div>
          );
        }}
      </Asked>
    </>
  );
}

function Rows({ items }: { items: readonly Alert[] }) {
  return (
    <ul>
      {items.toSorted(byUrgency).map(alert => (
        <AlertRow key={alert.id} alert={alert} />
      ))}
    </ul>
  );
}

export function AlertRow({ alert, brief = false }: { alert: Alert; brief?: boolean }) {
  const person = useMe();
  const acknowledge = useAcknowledge();
  const hostnames = new Map(useQuery(nodes).data?.items.map(node => [node.id, node.hostname]));
  const ticket = ticketLink(alert.ticketUrl);
  const quiet = alert.state === "resolved";
  return (
    <li
      data-alert={alert.state}
      className="grid grid-cols-[2.25rem_minmax(0,1fr)] gap-x-2 border-b border-line py-2.5 last:border-0"
    >
      <span>
        <PriorityBadge priority={quiet ? "P3" : alert.priority} />
      </span>
      <div className={`grid min-w-0 gap-x-6 gap-y-1.5 ${brief ? "" : "md:grid-cols-[minmax(0,1fr)_auto]"}`}>
        <div className="min-w-0">
          <p className={`[overflow-wrap:anywhere] ${quiet ? "text-soft" : "font-semibold"}`}>
            <Foreign>{alert.title}</Foreign>
          </p>
          {!brief && (
            <div className="max-w-[90ch] text-soft">
              <LongText>{alert.summary}</LongText>
            </div>
          )}
          <p className="flex flex-wrap gap-x-3 text-xs text-faint">
            <span>
              {alert.count > 1 ? `${count(alert.count)} times, last ` : "seen "}
              <Ago at={alert.lastAt} />
            </span>
            {alert.count > 1 && !brief && (
              <span>
                first <Ago at={alert.firstAt} />
              </span>
            )}
            {alert.resolvedAt !== null && (
              <span>
                resolved <Ago at={alert.resolvedAt} />
              </span>
            )}
            {alert.acknowledgedBy !== null && <span>acknowledged by {alert.acknowledgedBy}</span>}
            <span className="flex flex-wrap gap-x-1.5">
              {alert.nodes.length <= 3
                ? alert.nodes.map(id => (
                    <Link key={id} to="/nodes/$id" params={{ id }}>
                      {hostnames.get(id) ?? id.slice(0, 8)}
                    </Link>
                  ))
                : plural(alert.nodes.length, "node")}
            </span>
          </p>
        </div>
        <div className="flex items-center gap-3">
          {ticket && (
            <a href={ticket.href} target="_blank" rel="noreferrer" className="text-sm">
              {ticket.name}
            </a>
          )}
          {alert.state === "acknowledged" && <Tag>acknowledged</Tag>}
          {alert.state === "open" && !brief && (
            <Button
              disabled={!mayOperate(person.role) || acknowledge.isPending}
              title={
                mayOperate(person.role)
                  ? undefined
                  : `Your role is ${person.role}; an operator may acknowledge.`
              }
              aria-label={`Acknowledge: ${alert.title}`}
              onClick={() => acknowledge.mutate(alert.id)}
            >
              Acknowledge
            </Button>
          )}
        </div>
        {acknowledge.isError && (
          <p role="alert" className="text-sm font-medium text-danger">
            {acknowledge.error.message}
          </p>
        )}
      </div>
    </li>
  );
}
