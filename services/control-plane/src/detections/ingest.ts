/**
 * Takes in a node's events: one statement per batch, idempotent by (node, event id). A batch that was committed
 * and whose answer was lost comes again and changes nothing.
 */
import type { EventBatch, EventBatchResponse } from "@picket/shared/contract";
import { sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { storableJson } from "../db/json.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

export const BATCH_BYTES_MAX = 8 << 20;

/** Sequence numbers must become visible in their order: who reads up to one must not find a lower one later. */
const SEQUENCE_LOCK = 7_400_003;

export async function ingest({ ctx, input }: { ctx: Ctx; input: EventBatch }): Promise<EventBatchResponse> {
  authorise(ctx, "agent.events");
  const node = theNode(ctx);
  const batch = storableJson(input.events);
  const inserted = await ctx.db.transaction(async tx => {
    await tx.execute(sql`select pg_advisory_xact_lock(${SEQUENCE_LOCK})`);
    const rows = await tx.execute(sql`
      insert into detections
        (node, id, kind, at, received_at, priority, causal_key, verdict, guarantee, rules, count, payload)
      select
        ${node}::uuid, (event ->> 'id')::uuid, event ->> 'kind', (event ->> 'at')::timestamptz,
        ${now(ctx).toISOString()}::timestamptz, event ->> 'priority', event ->> 'causalKey', event ->> 'verdict',
        event ->> 'guarantee',
        case when event ? 'rules' then array(select jsonb_array_elements_text(event -> 'rules')) end,
        coalesce((event ->> 'count')::int, 1), event
      from jsonb_array_elements(${batch}::jsonb) as batch(event)
      on conflict (node, id) do nothing`);
    return rows.rowCount ?? 0;
  });
  const duplicates = input.events.length - inserted;
  ctx.metrics.detections.inc({ outcome: "committed" }, inserted);
  ctx.metrics.detections.inc({ outcome: "duplicate" }, duplicates);
  if (inserted > 0) ctx.jobs.nudge({ kind: "fold-detections" });
  return { committed: input.events.length, duplicates };
}
