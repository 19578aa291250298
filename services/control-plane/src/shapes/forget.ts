/** Shapes that nobody has used for a while: a deployment replaced their code. In small parts, so that nobody waits. */
import { sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";

const IDLE_DAYS = 30;
const ROWS_AT_ONCE = 5_000;

export async function forgetIdleShapes({ ctx }: { ctx: Ctx }): Promise<void> {
  const before = new Date(ctx.clock() - IDLE_DAYS * 86_400_000).toISOString();
  await ctx.db.execute(sql`
    with idle as (
      delete from shape_uses where (node, shape) in (
        select node, shape from shape_uses where last_seen_at < ${before}::timestamptz limit ${ROWS_AT_ONCE})
      returning shape)
    delete from shapes where digest in (select shape from idle) and not exists (
      select from shape_uses where shape = shapes.digest and last_seen_at >= ${before}::timestamptz)`);
}
