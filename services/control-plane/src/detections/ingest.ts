/**
 * Takes in a node's events: one statement per batch, idempotent by (node, event id). A batch that was committed
 * and whose answer was lost comes again and changes nothing.
 */
import type { EventBatch, EventBatchResponse } from "@picket/shared/contract";
import type { Detection } from "@picket/shared/detection";
import { sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { isStorable, storable, storableJson } from "../db/json.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

export const BATCH_BYTES_MAX = 8 << 20;

/** Sequence numbers must become visible in their order: who reads up to one must not find a lower one later. */
const SEQUENCE_LOCK = 7_400_003;

export async function ingest({
  ctx,
  input,
}: {
  ctx: Ctx;
  /** `text` is the batch as it came: PostgreSQL takes the events from it, so that nobody writes them anew. */
  input: EventBatch & { text: string };
}): Promise<EventBatchResponse> {
  authorise(ctx, "agent.events");
  const node = theNode(ctx);
  const asItCame = isStorable(input.text);
  const events = asItCame ? input.events : storable(input.events);
  const text = asItCame ? input.text : storableJson({ events });
  const column = (value: (event: Detection) => string | number | null) => sql.param(events.map(value));

  // One statement, so one transaction. It reads the whole batch before it takes the lock (`turn` counts `event`), and
  // numbers rows only then: others wait for the writing, not for the reading.
  const { rowCount } = await ctx.db.execute(sql`
    with event as materialized (
      select * from rows from (
        unnest(${column(({ id }) => id)}::uuid[]),
        unnest(${column(({ kind }) => kind)}::text[]),
        unnest(${column(({ at }) => at)}::timestamptz[]),
        unnest(${column(({ priority }) => priority)}::text[]),
        unnest(${column(({ causalKey }) => causalKey)}::text[]),
        unnest(${column(event => (event.kind === "statement" ? event.verdict : null))}::text[]),
        unnest(${column(event => (event.kind === "statement" ? event.guarantee : null))}::text[]),
        unnest(${column(event => (event.kind === "statement" ? arrayLiteral(event.rules) : null))}::text[]),
        unnest(${column(event => (event.kind === "statement" ? event.count : 1))}::int[]),
        json_array_elements(${text}::json -> 'events')
      ) as event (id, kind, at, priority, causal_key, verdict, guarantee, rules, count, payload)
    ),
    turn as materialized (
      select pg_advisory_xact_lock(${SEQUENCE_LOCK}) from (select count(*) from event) as whole
    )
    insert into detections
      (node, received_at, id, kind, at, priority, causal_key, verdict, guarantee, rules, count, payload)
    select ${node}::uuid, ${now(ctx).toISOString()}::timestamptz, event.id, event.kind, event.at, event.priority,
      event.causal_key, event.verdict, event.guarantee, event.rules::text[], event.count, event.payload
    from turn, event
    on conflict (node, id) do nothing`);
  const inserted = rowCount ?? 0;
  const duplicates = events.length - inserted;
  ctx.metrics.detections.inc({ outcome: "committed" }, inserted);
  ctx.metrics.detections.inc({ outcome: "duplicate" }, duplicates);
  if (inserted > 0) ctx.jobs.nudge({ kind: "fold-detections" });
  return { committed: events.length, duplicates };
}

/** PostgreSQL manual, 8.15.6: elements in quotes, in which a quote and a backslash are escaped. */
const arrayLiteral = (items: readonly string[]): string =>
  `{${items.map(item => `"${item.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
