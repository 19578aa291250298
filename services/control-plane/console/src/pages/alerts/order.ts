import type { Alert } from "@picket/shared/api";

/** Most urgent first; of the same priority what was seen last. */
export function byUrgency(a: Alert, b: Alert): number {
  const rank = (alert: Alert) => (alert.state === "resolved" ? 9 : Number(alert.priority.slice(1)));
  return rank(a) - rank(b) || Date.parse(b.lastAt) - Date.parse(a.lastAt);
}

/** A ticket's address comes from another system: only what a browser may safely open becomes a link. */
export function ticketLink(url: string | null): { href: string; name: string } | null {
  if (url === null || !URL.canParse(url)) return null;
  const { protocol, href, pathname } = new URL(url);
  if (protocol !== "https:" && protocol !== "http:") return null;
  const number = /\/(?:issues|browse)\/([\w-]+)$/.exec(pathname)?.[1];
  return { href, name: number ? `Ticket ${/^\d+$/.test(number) ? "#" : ""}${number}` : "Ticket" };
}
