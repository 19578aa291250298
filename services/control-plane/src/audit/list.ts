import type { AuditRow } from "@picket/shared/api";
import { desc, lt } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { auditLog } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";

/** Newest first. */
export async function listAudit({ ctx, input }: { ctx: Ctx; input: PageInput }): Promise<Page<AuditRow>> {
  authorise(ctx, "audit.list");
  const rows = await ctx.db
    .select()
    .from(auditLog)
    .where(input.cursor === undefined ? undefined : lt(auditLog.sequence, input.cursor))
    .orderBy(desc(auditLog.sequence))
    .limit(input.limit + 1);
  return pageOf(
    rows,
    input,
    row => row.sequence,
    row => ({
      sequence: row.sequence,
      at: row.at.toISOString(),
      actor: row.actor,
      verb: row.verb,
      subject: row.subject,
      detail: row.detail,
    }),
  );
}
