/**
 * Detections as they are committed, as server-sent events (HTML standard, 9.2): the event id is the sequence, so a
 * reader that comes back with Last-Event-ID misses nothing. Each stream asks PostgreSQL by its own cursor: there is
 * no state between requests, and a reader that is slow slows only itself.
 */
import type { DetectionRow } from "@picket/shared/api";
import type { Ctx } from "../context.ts";
import { authorise } from "../identity/policy.ts";
import { listDetections, newestSequence } from "./list.ts";

const POLL_MS = 250;
const ROWS_AT_ONCE = 200;
/** Proxies end a connection that says nothing; a comment is something. */
const HEARTBEAT_MS = 15_000;

export type Frame = { kind: "row"; row: DetectionRow } | { kind: "heartbeat" };

/**
 * Without `since`: what comes from now on. Ends with the signal; PostgreSQL away ends it with an error, and so does
 * `again` when the reader may not read any longer.
 */
export async function* streamDetections({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { since: number | undefined; signal: AbortSignal; again: () => Promise<Ctx> };
}): AsyncGenerator<Frame> {
  authorise(ctx, "detections.stream");
  let since = input.since ?? (await newestSequence({ ctx }));
  let reader = ctx;
  let admittedMs = ctx.clock();
  let quietMs = 0;
  while (!input.signal.aborted) {
    if (ctx.clock() - admittedMs >= ctx.config.readmitMs) {
      reader = await input.again();
      admittedMs = ctx.clock();
    }
    const newest = await newestSequence({ ctx });
    const { items } = await listDetections({ ctx: reader, input: { since, limit: ROWS_AT_ONCE } });
    for (const row of items) {
      yield { kind: "row", row };
      since = row.sequence;
    }
    if (items.length > 0) quietMs = 0;
    if (items.length === ROWS_AT_ONCE) continue;
    // Other teams' rows are not read again and again.
    since = Math.max(since, newest);
    await pause(POLL_MS, input.signal);
    quietMs += POLL_MS;
    if (quietMs >= HEARTBEAT_MS) {
      yield { kind: "heartbeat" };
      quietMs = 0;
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
