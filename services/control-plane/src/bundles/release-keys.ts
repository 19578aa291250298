/** Release keys: bundles are verified against them on push, and nodes pin them at enrolment. */

import type { ReleaseKeyRow } from "@picket/shared/api";
import type { ReleaseKey } from "@picket/shared/bundle-format";
import { keyIdOf } from "@picket/shared/dsse";
import { asc } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now } from "../context.ts";
import { releaseKeys } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { Refusal } from "../refusal.ts";
import { currentTrust } from "./trust.ts";

const show = (row: typeof releaseKeys.$inferSelect): ReleaseKeyRow => ({
  keyid: row.keyid,
  publicKey: row.publicKey,
  createdAt: row.createdAt.toISOString(),
  createdBy: row.createdBy,
});

export async function listReleaseKeys({ ctx }: { ctx: Ctx }): Promise<ReleaseKeyRow[]> {
  authorise(ctx, "bundles.list-keys");
  return (await ctx.db.select().from(releaseKeys).orderBy(asc(releaseKeys.createdAt))).map(show);
}

/** Registering a key again changes nothing. */
export async function registerReleaseKey({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: ReleaseKey;
}): Promise<ReleaseKeyRow> {
  authorise(ctx, "bundles.register-key");
  const keyid = keyIdOf(input.publicKey);
  if (keyid !== input.keyid) throw new Refusal("invalid", `the key id of this public key is ${keyid}`);
  return ctx.db.transaction(async tx => {
    const { version } = await currentTrust(tx);
    if (version > 0)
      throw new Refusal(
        "wrong-state",
        `release keys are those of root ${version}: they change by a root that these have signed (picket keys rotate)`,
      );
    const [row] = await tx
      .insert(releaseKeys)
      .values({ ...input, createdAt: now(ctx), createdBy: actorName(ctx.actor) })
      .onConflictDoNothing()
      .returning();
    if (!row) {
      const known = await tx.select().from(releaseKeys);
      return show(known.find(known => known.keyid === keyid)!);
    }
    await record(ctx, tx, { verb: "register-key", subject: `release-key:${keyid}` });
    return show(row);
  });
}
