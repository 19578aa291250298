/** Detections in pages: newest first, or after a sequence number in the order of commit. */
import type { DetectionRow } from "@picket/shared/api";
import type { NodeId } from "@picket/shared/ids";
import { and, asc, desc, eq, gt, lt } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { detections, nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { inScope } from "../identity/scope.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";

export async function listDetections({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput & { since?: number | undefined; node?: NodeId | undefined };
}): Promise<Page<DetectionRow>> {
  authorise(ctx, "detections.list");
  const rising = input.since !== undefined;
  const { sequence } = detections;
  const rows = await ctx.db
    .select({
      sequence,
      node: detections.node,
      hostname: nodes.hostname,
      receivedAt: detections.receivedAt,
      payload: detections.payload,
    })
    .from(detections)
    .innerJoin(nodes, eq(detections.node, nodes.id))
    .where(
      and(
        inScope(ctx, nodes.labels),
        input.node === undefined ? undefined : eq(detections.node, input.node),
        input.since === undefined ? undefined : gt(sequence, input.since),
        input.cursor === undefined
          ? undefined
          : rising
            ? gt(sequence, input.cursor)
            : lt(sequence, input.cursor),
      ),
    )
    .orderBy(rising ? asc(sequence) : desc(sequence))
    .limit(input.limit + 1);
  return pageOf(
    rows,
    input,
    row => row.sequence,
    row => ({
      sequence: row.sequence,
      node: row.node,
      hostname: row.hostname,
      receivedAt: row.receivedAt.toISOString(),
      detection: row.payload,
    }),
  );
}

export async function newestSequence({ ctx }: { ctx: Ctx }): Promise<number> {
  const [row] = await ctx.db
    .select({ sequence: detections.sequence })
    .from(detections)
    .orderBy(desc(detections.sequence))
    .limit(1);
  return row?.sequence ?? 0;
}
