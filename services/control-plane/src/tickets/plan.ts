/** What a ticket's tracker must be told, decided purely from the alert and what is known of the issue. */
import type { Alert } from "@picket/shared/api";
import type { TrackerIssue } from "./github.ts";

export type TicketStep =
  | { kind: "create"; title: string; body: string }
  | { kind: "reopen"; comment: string }
  | { kind: "close"; comment: string }
  | { kind: "comment"; comment: string };

type Told = Pick<
  Alert,
  "priority" | "state" | "title" | "summary" | "causalKey" | "firstAt" | "resolvedAt" | "count"
>;

export function ticketSteps(
  alert: Told,
  issue: TrackerIssue | null,
  /** The priority that the tracker was last told for this alert; null: not told of this alert yet. */
  told: Alert["priority"] | null,
): TicketStep[] {
  const live = alert.state !== "resolved";
  if (issue === null) return live ? [{ kind: "create", title: titleOf(alert), body: bodyOf(alert) }] : [];
  if (live && issue.state === "closed")
    return [
      {
        kind: "reopen",
        comment: `It is back: ${alert.title} (${alert.priority}).\n\n${quoted(alert.summary)}`,
      },
    ];
  if (live && told !== null && told !== alert.priority)
    return [
      { kind: "comment", comment: `Now ${alert.priority}: ${alert.title}.\n\n${quoted(alert.summary)}` },
    ];
  if (!live && issue.state === "open")
    return [
      {
        kind: "close",
        comment: `Resolved at ${alert.resolvedAt}: the cause is gone. Seen ${alert.count} times.`,
      },
    ];
  return [];
}

const titleOf = (alert: Told): string => `[${alert.priority}] ${alert.title}`.slice(0, 250);

function bodyOf(alert: Told): string {
  return [
    `**${alert.title}**`,
    quoted(alert.summary),
    `- Priority: ${alert.priority}\n- First seen: ${alert.firstAt}\n- Cause: ${code(alert.causalKey)}`,
    "Picket keeps this issue: it is closed when the cause is gone and reopened when it comes back.",
  ].join("\n\n");
}

/** What an attacker wrote is shown as text: no mentions, no markup, no hidden marker of its own. */
const quoted = (text: string): string => `\`\`\`\`text\n${text.replaceAll("`", "'")}\n\`\`\`\``;
const code = (text: string): string => `\`${text.replaceAll("`", "'")}\``;
