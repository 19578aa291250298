/** Signs what nodes are to know, numbers it, and lets the gateways hear of it. */
import type { SharedVerdictId } from "@picket/shared/ids";
import type { Denial } from "@picket/shared/immunity";
import { signSharedVerdict } from "@picket/shared/shared-verdict";
import { and, eq, inArray, max, sql } from "drizzle-orm";
import { actorName, type Ctx, now, type Services } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { sharedVerdicts } from "../db/schema.ts";

/** Rings with the fleet's last sequence. */
export const VERDICTS = "picket:verdicts";

/** Sequence numbers must become visible in their order: who reads up to one must not find a lower one later. */
const SEQUENCE_LOCK = 7_400_011;

async function nextSequence(tx: Tx): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(${SEQUENCE_LOCK})`);
  const { rows } = await tx.execute<{ next: string }>(sql`select nextval('shared_verdict_sequence') as next`);
  return Number(rows[0]!.next);
}

type Row = typeof sharedVerdicts.$inferSelect;

/** The row is locked by the caller. */
export async function issueDenial(ctx: Ctx, tx: Tx, row: Row, ttlMs: number): Promise<void> {
  const sequence = await nextSequence(tx);
  const expiresAt = new Date(ctx.clock() + ttlMs);
  const denial: Denial = {
    format: 1,
    kind: "deny",
    id: row.id,
    sequence,
    issuedAt: now(ctx).toISOString(),
    expiresAt: expiresAt.toISOString(),
    shape: row.shape,
    dialect: row.dialect,
    text: row.text,
    rule: row.rule,
    source: row.source,
  };
  const envelope = signSharedVerdict(denial, ctx.config.sharingKey!);
  await tx
    .update(sharedVerdicts)
    .set({ state: "in-force", issuedAt: now(ctx), expiresAt, sequence, envelope })
    .where(eq(sharedVerdicts.id, row.id));
}

/** Without the key that nodes believe nothing can be taken back from them: it ends by its time, or by another version. */
const untold = (because: string): string =>
  `${because}; nodes were not told, since no sharing key is set: they go on until it expires, or run a version without the delegation`;

/** What waits is refused, and what is in force is taken back from every node. Answers what really ended. */
export async function endVerdicts(
  ctx: Ctx,
  tx: Tx,
  ids: readonly SharedVerdictId[],
  because: string,
): Promise<SharedVerdictId[]> {
  if (ids.length === 0) return [];
  const rows = await tx
    .select()
    .from(sharedVerdicts)
    .where(and(inArray(sharedVerdicts.id, [...ids]), inArray(sharedVerdicts.state, ["pending", "in-force"])))
    .orderBy(sharedVerdicts.id)
    // Not `update`: nodes that claim one of these hold its key, and would wait for us while we wait for them.
    .for("no key update");
  const ended = { because, endedAt: now(ctx), endedBy: actorName(ctx.actor) };
  for (const { id, state, shape } of rows) {
    if (state === "pending" || !ctx.config.sharingKey) {
      await tx
        .update(sharedVerdicts)
        .set(
          state === "pending"
            ? { ...ended, state: "refused" }
            : { ...ended, state: "revoked", because: untold(because) },
        )
        .where(eq(sharedVerdicts.id, id));
      continue;
    }
    const sequence = await nextSequence(tx);
    const envelope = signSharedVerdict(
      { format: 1, kind: "revoke", id, sequence, issuedAt: now(ctx).toISOString(), shape },
      ctx.config.sharingKey,
    );
    await tx
      .update(sharedVerdicts)
      .set({ ...ended, state: "revoked", sequence, envelope })
      .where(eq(sharedVerdicts.id, id));
  }
  return rows.map(({ id }) => id);
}

export async function lastSequence({ db }: Pick<Services, "db">): Promise<number> {
  const [row] = await db.select({ last: max(sharedVerdicts.sequence) }).from(sharedVerdicts);
  return row?.last ?? 0;
}

/** After the commit. Lost, nodes read it when they next reconcile. */
export async function announceVerdicts(ctx: Ctx): Promise<void> {
  try {
    await ctx.redis.publish(VERDICTS, String(await lastSequence(ctx)));
  } catch (error) {
    ctx.log.warn({ error }, "gateways did not hear of shared verdicts; nodes read them when they reconcile");
  }
}
