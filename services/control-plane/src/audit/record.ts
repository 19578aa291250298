/**
 * One row for every change, in the change's own transaction. Rows are chained: each hash covers the one before
 * it, so a row that was altered, removed or slipped in later shows (audit/verify.ts). The chain's lock is taken
 * as the last step of a transaction, so it is held only until the commit and cannot deadlock.
 */
import { createHash } from "node:crypto";
import { desc, sql } from "drizzle-orm";
import { actorName, type Ctx, now } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { auditLog } from "../db/schema.ts";

const AUDIT_LOCK = 7_400_002;
export const CHAIN_START = "0".repeat(64);

export interface Change {
  verb: string;
  /** What was changed: `rollout:<id>`. */
  subject: string;
  detail?: Record<string, unknown>;
}

export async function record(ctx: Ctx, tx: Tx, { verb, subject, detail = {} }: Change): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${AUDIT_LOCK})`);
  const [last] = await tx
    .select({ sequence: auditLog.sequence, hash: auditLog.hash })
    .from(auditLog)
    .orderBy(desc(auditLog.sequence))
    .limit(1);
  const row = {
    sequence: (last?.sequence ?? 0) + 1,
    at: now(ctx),
    actor: actorName(ctx.actor),
    verb,
    subject,
    // As it will be read back: undefined leaves, dates become text.
    detail: JSON.parse(JSON.stringify(detail)) as Record<string, unknown>,
    previousHash: last?.hash ?? CHAIN_START,
  };
  await tx.insert(auditLog).values({ ...row, hash: hashRow(row) });
}

export function hashRow(row: Omit<typeof auditLog.$inferSelect, "hash">): string {
  const content = canonical({
    sequence: row.sequence,
    at: row.at.toISOString(),
    actor: row.actor,
    verb: row.verb,
    subject: row.subject,
    detail: row.detail,
  });
  return createHash("sha256").update(row.previousHash).update(content).digest("hex");
}

/** JSON with sorted keys: jsonb does not keep their order. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`)
      .join(",")}}`;
  return JSON.stringify(value);
}
