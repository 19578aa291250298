/**
 * Goes through what nodes have claimed, oldest first: judged again here, and signed where the online key may, within
 * its delegation's bounds. What the fleet has no room for now waits; what one node has too much of does not, lest it
 * stand in others' way. Who takes a row holds its lock, so two workers never
 * sign one twice.
 */
import type { NodeId, SharedVerdictId } from "@picket/shared/ids";
import { durationMs } from "@picket/shared/vocabulary";
import { and, asc, count, eq, gt, isNull, lt, lte, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now } from "../context.ts";
import type { Db, Tx } from "../db/client.ts";
import { ruleVersions, sharedVerdicts, sharingStops } from "../db/schema.ts";
import { type Delegated, delegations } from "./delegations.ts";
import { announceVerdicts, issueDenial } from "./issue.ts";
import { judgeAgain } from "./judge.ts";

/** Held while the last room is looked for. */
const ROOM_LOCK = 7_400_012;
const AT_ONCE = 100;
const HOUR_MS = 3_600_000;
/** A claim that could not be signed for so long says nothing any more. */
const PENDING_MS_MAX = 86_400_000;

export async function shareVerdicts({ ctx }: { ctx: Ctx }): Promise<void> {
  await endOverdue(ctx);
  if (!ctx.config.sharingKey || (await isStopped(ctx.db))) return;
  const delegated = await delegations(ctx);
  if (delegated.length === 0) return;
  const pending = await ctx.db
    .select({ id: sharedVerdicts.id })
    .from(sharedVerdicts)
    .where(eq(sharedVerdicts.state, "pending"))
    .orderBy(asc(sharedVerdicts.claimedAt))
    .limit(AT_ONCE);
  let shared = 0;
  for (const { id } of pending) if (await shareOne(ctx, id, delegated)) shared += 1;
  if (shared > 0) await announceVerdicts(ctx);
}

async function shareOne(ctx: Ctx, id: SharedVerdictId, delegated: readonly Delegated[]): Promise<boolean> {
  const [claim] = await ctx.db.select().from(sharedVerdicts).where(eq(sharedVerdicts.id, id));
  if (claim?.state !== "pending") return false;
  const by = delegated.find(each => each.ruleSet === claim.ruleSet);
  const [rules] = await ctx.db
    .select({ text: ruleVersions.ruleText })
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, claim.ruleSet), eq(ruleVersions.version, claim.version)));
  const refusal = !by
    ? `no version of ${claim.ruleSet} lets the online key share verdicts`
    : rules
      ? await judgeAgain(rules.text, claim)
      : `there is no ${claim.ruleSet}@${claim.version} here`;
  return ctx.db.transaction(async tx => {
    const [row] = await tx
      .select()
      .from(sharedVerdicts)
      .where(and(eq(sharedVerdicts.id, id), eq(sharedVerdicts.state, "pending")))
      .for("no key update", { skipLocked: true });
    // Asked again: a stop that was ordered meanwhile has ended what was in force then, and nothing later.
    if (!row || (await isStopped(tx))) return false;
    const refuse = async (because: string | null) => {
      await tx
        .update(sharedVerdicts)
        .set({ state: "refused", because, endedAt: now(ctx), endedBy: actorName(ctx.actor) })
        .where(eq(sharedVerdicts.id, id));
      ctx.metrics.sharedVerdicts.inc({ outcome: "refused" });
      return false;
    };
    if (refusal !== null || !by) return refuse(refusal);
    // One after the other, so that two workers do not both find the last room.
    await tx.execute(sql`select pg_advisory_xact_lock(${ROOM_LOCK})`);
    const { caps, expiresAt } = by.delegation;
    const used = await inUse(ctx, tx, row.source);
    if (used.ofNode >= caps.inForcePerNode) return refuse("as much of its node is in force as may be");
    if (used.inForce >= caps.inForce || used.lastHour >= caps.perHour) return false;
    const ttlMs = Math.min(durationMs(caps.ttl), Date.parse(expiresAt) - ctx.clock());
    await issueDenial(ctx, tx, row, ttlMs);
    await record(ctx, tx, {
      verb: "share",
      subject: `shared-verdict:${id}`,
      detail: { shape: row.shape, rule: row.rule, source: row.source },
    });
    ctx.metrics.sharedVerdicts.inc({ outcome: "issued" });
    return true;
  });
}

async function inUse(ctx: Ctx, tx: Tx, source: NodeId) {
  const inForce = eq(sharedVerdicts.state, "in-force");
  const [found] = await tx
    .select({
      inForce: count(sql`case when ${inForce} then 1 end`),
      ofNode: count(sql`case when ${inForce} and ${eq(sharedVerdicts.source, source)} then 1 end`),
      lastHour: count(
        sql`case when ${gt(sharedVerdicts.issuedAt, new Date(ctx.clock() - HOUR_MS))} then 1 end`,
      ),
    })
    .from(sharedVerdicts);
  return found!;
}

/** Nodes end what has expired by themselves. */
async function endOverdue(ctx: Ctx): Promise<void> {
  await ctx.db
    .update(sharedVerdicts)
    .set({ state: "expired", endedAt: now(ctx), endedBy: actorName(ctx.actor) })
    .where(and(eq(sharedVerdicts.state, "in-force"), lte(sharedVerdicts.expiresAt, now(ctx))));
  await ctx.db
    .update(sharedVerdicts)
    .set({
      state: "refused",
      because: "it waited too long",
      endedAt: now(ctx),
      endedBy: actorName(ctx.actor),
    })
    .where(
      and(
        eq(sharedVerdicts.state, "pending"),
        lt(sharedVerdicts.claimedAt, new Date(ctx.clock() - PENDING_MS_MAX)),
      ),
    );
}

export async function isStopped(db: Db | Tx): Promise<boolean> {
  const [stop] = await db.select().from(sharingStops).where(isNull(sharingStops.releasedAt)).limit(1);
  return stop !== undefined;
}
