/**
 * What is over is shown for a month. It goes one verdict at a time, since with each go the claims and answers of as
 * many nodes as there are.
 */
import { and, asc, eq, lt, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { sharedVerdicts } from "../db/schema.ts";

const KEPT_MS = 30 * 86_400_000;
const AT_ONCE = 100;

export async function forgetVerdicts({ ctx }: { ctx: Ctx }): Promise<void> {
  const over = await ctx.db
    .select({ id: sharedVerdicts.id })
    .from(sharedVerdicts)
    .where(
      and(
        lt(sharedVerdicts.endedAt, new Date(ctx.clock() - KEPT_MS)),
        // The fleet's last number (issue.ts) is read from this row: were it to fall, nodes that have read further
        // would be told for ever that there is more.
        sql`${sharedVerdicts.sequence} is distinct from (select max(sequence) from shared_verdicts)`,
      ),
    )
    .orderBy(asc(sharedVerdicts.endedAt))
    .limit(AT_ONCE);
  for (const { id } of over) await ctx.db.delete(sharedVerdicts).where(eq(sharedVerdicts.id, id));
}
