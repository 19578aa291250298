/** Freeze windows of the fleet, kept until somebody removes them. */
import type { Freeze, FreezeRequest } from "@picket/shared/api";
import { asc, eq } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now, uuid } from "../context.ts";
import { freezes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { checkTimeZone, frozenUntil } from "./freeze.ts";
import { nudgeActiveRollouts } from "./nudge.ts";

const FREEZES_MAX = 200;

function show(ctx: Ctx, row: typeof freezes.$inferSelect): Freeze {
  const frozen = frozenUntil([row], ctx.clock());
  return {
    id: row.id,
    reason: row.reason,
    window: row.window,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    frozenUntil: frozen && new Date(frozen.untilMs).toISOString(),
  };
}

export async function listFreezes({ ctx }: { ctx: Ctx }): Promise<Freeze[]> {
  authorise(ctx, "freezes.list");
  const rows = await ctx.db.select().from(freezes).orderBy(asc(freezes.createdAt)).limit(FREEZES_MAX);
  return rows.map(row => show(ctx, row));
}

export async function addFreeze({ ctx, input }: { ctx: Ctx; input: FreezeRequest }): Promise<Freeze> {
  authorise(ctx, "freezes.add");
  const { window } = input;
  switch (window.kind) {
    case "once":
      if (Date.parse(window.to) <= Date.parse(window.from))
        throw new Refusal("invalid", `window.to: ${window.to} is not after ${window.from}`);
      break;
    case "weekly": {
      const wrong = checkTimeZone(window.timeZone);
      if (wrong !== null) throw new Refusal("invalid", `window.timeZone: ${wrong}`);
    }
  }
  const row = await ctx.db.transaction(async tx => {
    const known = await tx.select({ id: freezes.id }).from(freezes).limit(FREEZES_MAX);
    if (known.length === FREEZES_MAX)
      throw new Refusal("invalid", `there are ${FREEZES_MAX} freeze windows already: remove some`);
    const [row] = await tx
      .insert(freezes)
      .values({ id: uuid(ctx), ...input, createdAt: now(ctx), createdBy: actorName(ctx.actor) })
      .returning();
    await record(ctx, tx, { verb: "freeze", subject: `freeze:${row!.id}`, detail: { ...input } });
    return row!;
  });
  await nudgeActiveRollouts(ctx);
  return show(ctx, row);
}

export async function removeFreeze({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<void> {
  authorise(ctx, "freezes.remove");
  await ctx.db.transaction(async tx => {
    const removed = await tx.delete(freezes).where(eq(freezes.id, input.id)).returning();
    if (!removed[0]) throw notFound(`freeze ${input.id}`);
    await record(ctx, tx, {
      verb: "unfreeze",
      subject: `freeze:${input.id}`,
      detail: { reason: removed[0].reason },
    });
  });
  await nudgeActiveRollouts(ctx);
}
