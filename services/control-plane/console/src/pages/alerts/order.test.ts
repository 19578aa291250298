import type { Alert } from "@picket/shared/api";
import { expect, test } from "vitest";
import { byUrgency, ticketLink } from "./order.ts";

test.each([
  ["https://github.com/example/shop/issues/118", "Ticket #118"],
  ["https://tickets.example.net/browse/OPS-7", "Ticket OPS-7"],
  ["https://tickets.example.net/", "Ticket"],
])("%s becomes a link", (url, name) => expect(ticketLink(url)?.name).toBe(name));

test.each(["javascript:alert(1)", "data:text/html,x", "not an address", null])(
  "%s never becomes a link",
  url => expect(ticketLink(url)).toBeNull(),
);

test("the most urgent comes first, what is resolved last", () => {
  const alert = (priority: Alert["priority"], state: Alert["state"], minute: number) =>
    ({ priority, state, lastAt: `2026-01-01T00:0${minute}:00Z` }) as Alert;
  const sorted = [
    alert("P0", "resolved", 1),
    alert("P2", "open", 5),
    alert("P1", "open", 1),
    alert("P1", "open", 2),
  ].toSorted(byUrgency);
  expect(sorted.map(({ priority, lastAt }) => `${priority} ${lastAt.slice(15, 16)}`)).toEqual([
    "P1 2",
    "P1 1",
    "P2 5",
    "P0 1",
  ]);
});
