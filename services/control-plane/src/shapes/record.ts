/**
 * Takes in the shapes that a node has seen, with how often. A node reports totals of its agent's run (the epoch), so
 * a batch that comes twice counts once; what runs before it saw is added. A shape's text is believed only where its
 * digest is the shape's: no node can say what another one's shape is.
 */
import { createHash } from "node:crypto";
import type { ShapeBatch, ShapeBatchResponse } from "@picket/shared/contract";
import type { ShapeDigest } from "@picket/shared/ids";
import { SHAPE_ALGORITHM } from "@picket/shared/shape";
import type { Dialect } from "@picket/shared/vocabulary";
import { sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

/** Per node; the ones that were seen longest ago go first. */
const SHAPES_PER_NODE_MAX = 20_000;

export async function recordShapes({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: ShapeBatch;
}): Promise<ShapeBatchResponse> {
  authorise(ctx, "agent.shapes");
  const node = theNode(ctx);
  const believed = [
    // Two rows of one shape would be one row changed twice, which PostgreSQL refuses.
    ...new Map(
      input.shapes
        .filter(({ shape, dialect, text }) => digestOf(dialect, text) === shape)
        .map(use => [use.shape, use]),
    ).values(),
  ].toSorted((a, b) => (a.shape < b.shape ? -1 : 1)); // One order of locks for all nodes.
  const refused = input.shapes.filter(({ shape, dialect, text }) => digestOf(dialect, text) !== shape).length;
  if (believed.length === 0) return { stored: 0, refused };
  const at = now(ctx).toISOString();
  const column = (value: (use: (typeof believed)[number]) => string | number) =>
    sql.param(believed.map(value));
  await ctx.db.transaction(async tx => {
    await tx.execute(sql`
      insert into shapes (digest, dialect, text, first_seen_at)
      select digest, dialect, text, ${at}::timestamptz from rows from (
        unnest(${column(({ shape }) => shape)}::text[]),
        unnest(${column(({ dialect }) => dialect)}::text[]),
        unnest(${column(({ text }) => text)}::text[])
      ) as shape (digest, dialect, text)
      on conflict (digest) do nothing`);
    await tx.execute(sql`
      insert into shape_uses as known (node, shape, workload, epoch, uses_now, uses_before, last_seen_at)
      select ${node}::uuid, shape, workload, ${input.epoch}::uuid, uses, 0, ${at}::timestamptz from rows from (
        unnest(${column(({ shape }) => shape)}::text[]),
        unnest(${column(({ workload }) => workload)}::text[]),
        unnest(${column(({ uses }) => uses)}::bigint[])
      ) as used (shape, workload, uses)
      on conflict (node, shape) do update set
        uses_before = known.uses_before + case when known.epoch = excluded.epoch then 0 else known.uses_now end,
        uses_now = case when known.epoch = excluded.epoch
          then greatest(known.uses_now, excluded.uses_now) else excluded.uses_now end,
        epoch = excluded.epoch,
        last_seen_at = excluded.last_seen_at`);
    await tx.execute(sql`
      delete from shape_uses where node = ${node}::uuid and shape in (
        select shape from shape_uses where node = ${node}::uuid
        order by last_seen_at desc offset ${SHAPES_PER_NODE_MAX})`);
  });
  return { stored: believed.length, refused };
}

/** docs/fingerprint.md */
const digestOf = (dialect: Dialect, text: string): ShapeDigest =>
  createHash("sha256").update(`${SHAPE_ALGORITHM}\n${dialect}\n${text}`).digest("hex") as ShapeDigest;
