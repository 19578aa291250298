/** Walks the chain from its start and names the first row that does not fit. */

import type { AuditCheck } from "@picket/shared/api";
import { asc, gt } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { auditLog } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { CHAIN_START, hashRow } from "./record.ts";

const ROWS_AT_ONCE = 1_000;

export async function verifyAudit({ ctx }: { ctx: Ctx }): Promise<AuditCheck> {
  authorise(ctx, "audit.verify");
  let sequence = 0;
  let hash = CHAIN_START;
  for (;;) {
    const rows = await ctx.db
      .select()
      .from(auditLog)
      .where(gt(auditLog.sequence, sequence))
      .orderBy(asc(auditLog.sequence))
      .limit(ROWS_AT_ONCE);
    for (const row of rows) {
      if (row.sequence !== sequence + 1 || row.previousHash !== hash || hashRow(row) !== row.hash)
        return { intact: false, rows: sequence, brokenAt: sequence + 1 };
      ({ sequence, hash } = row);
    }
    if (rows.length < ROWS_AT_ONCE) return { intact: true, rows: sequence, brokenAt: null };
  }
}
