/**
 * Brings one cause's ticket in line with its newest alert. One worker at a time may call the tracker for a cause:
 * it holds the row by a lease. Should it die between creating an issue and storing its number, the next one finds
 * the issue by its marker, so a cause never has two.
 */

import { err, ok, type Result } from "@picket/shared/result";
import type { Priority } from "@picket/shared/vocabulary";
import { and, eq, isNull, lt, or } from "drizzle-orm";
import { showAlertRow } from "../alerts/show.ts";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { alerts, tickets } from "../db/schema.ts";
import { connectGitHub, type TrackerError, type TrackerIssue } from "./github.ts";
import { type TicketStep, ticketSteps } from "./plan.ts";

type TicketRow = typeof tickets.$inferSelect;
type Tracker = ReturnType<typeof connectGitHub>;

/** Longer than the calls of one pass may take. */
const LEASE_MS = 120_000;
const RETRY_MS_MIN = 5_000;
const RETRY_MS_MAX = 3_600_000;

export async function syncTicket({ ctx, input }: { ctx: Ctx; input: { causalKey: string } }): Promise<void> {
  if (!ctx.config.github) return;
  const ticket = await claim(ctx, input.causalKey);
  if (!ticket) return;
  const [alert] = await ctx.db.select().from(alerts).where(eq(alerts.id, ticket.alert));
  const shown = showAlertRow(alert!, ticket.url);
  const tracker = connectGitHub(ctx.config.github);
  const result = await bringInLine(tracker, ticket, shown);
  await settle(ctx, ticket, shown.priority, result);
}

/** Null when there is nothing to do or another worker is at it (it will look again when it is done). */
async function claim(ctx: Ctx, causalKey: string): Promise<TicketRow | undefined> {
  const [row] = await ctx.db
    .update(tickets)
    .set({ lockedUntil: new Date(ctx.clock() + LEASE_MS) })
    .where(
      and(
        eq(tickets.causalKey, causalKey),
        or(isNull(tickets.lockedUntil), lt(tickets.lockedUntil, now(ctx))),
      ),
    )
    .returning();
  return row;
}

type Done = { issue: TrackerIssue | null; steps: TicketStep["kind"][] };

async function bringInLine(
  tracker: Tracker,
  ticket: TicketRow,
  alert: ReturnType<typeof showAlertRow>,
): Promise<Result<Done, TrackerError>> {
  let issue: TrackerIssue | null =
    ticket.number === null || ticket.url === null
      ? null
      : { number: ticket.number, url: ticket.url, state: ticket.state };
  if (issue === null) {
    const found = await tracker.find(ticket.causalKey);
    if (!found.ok) return found;
    issue = found.value;
  }
  const told = ticket.toldAlert === alert.id ? ticket.toldPriority : null;
  const steps = ticketSteps(alert, issue, told);
  for (const step of steps) {
    const next = await carryOut(tracker, ticket.causalKey, issue, step);
    if (!next.ok) return next;
    issue = next.value;
  }
  return ok({ issue, steps: steps.map(({ kind }) => kind) });
}

async function carryOut(
  tracker: Tracker,
  causalKey: string,
  issue: TrackerIssue | null,
  step: TicketStep,
): Promise<Result<TrackerIssue | null, TrackerError>> {
  if (step.kind === "create") return tracker.create(causalKey, step);
  if (issue === null) return err({ detail: "there is no issue yet", retryAfterMs: null });
  switch (step.kind) {
    case "comment": {
      const made = await tracker.comment(issue.number, step.comment);
      return made.ok ? ok(issue) : made;
    }
    // Should the comment fail, both are done again: setting a state twice changes nothing.
    case "reopen":
    case "close": {
      const changed = await tracker.setState(issue.number, step.kind === "close" ? "closed" : "open");
      if (!changed.ok) return changed;
      const made = await tracker.comment(issue.number, step.comment);
      return made.ok ? changed : made;
    }
  }
}

async function settle(
  ctx: Ctx,
  ticket: TicketRow,
  priority: Priority,
  result: Result<Done, TrackerError>,
): Promise<void> {
  const again = await ctx.db.transaction(async tx => {
    const [row] = await tx
      .select()
      .from(tickets)
      .where(eq(tickets.causalKey, ticket.causalKey))
      .for("update");
    if (!result.ok) {
      const attempts = row!.attempts + 1;
      const backoffMs = Math.min(RETRY_MS_MIN * 2 ** (attempts - 1), RETRY_MS_MAX);
      await tx
        .update(tickets)
        .set({
          lockedUntil: null,
          attempts,
          lastError: result.error.detail.slice(0, 500),
          nextAttemptAt: new Date(ctx.clock() + Math.max(backoffMs, result.error.retryAfterMs ?? 0)),
        })
        .where(eq(tickets.causalKey, ticket.causalKey));
      return false;
    }
    const { issue, steps } = result.value;
    // Marked again while the tracker was called: another pass, with the new state.
    const changed = row!.revision !== ticket.revision;
    await tx
      .update(tickets)
      .set({
        lockedUntil: null,
        attempts: 0,
        lastError: null,
        nextAttemptAt: changed ? now(ctx) : null,
        toldAlert: ticket.alert,
        toldPriority: priority,
        ...(issue && { number: issue.number, url: issue.url, state: issue.state }),
        ...(!issue && { state: "closed" as const }),
      })
      .where(eq(tickets.causalKey, ticket.causalKey));
    if (steps.length > 0)
      await record(ctx, tx, {
        verb: "sync-ticket",
        subject: `ticket:${issue?.number ?? "none"}`,
        detail: { causalKey: ticket.causalKey, steps },
      });
    return changed;
  });
  if (again) ctx.jobs.nudge({ kind: "sync-ticket", causalKey: ticket.causalKey });
}
