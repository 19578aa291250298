/**
 * Which release keys count. Until a first root is published they are the registered ones, and one is enough; from then on
 * they change only by a root that enough of the keys before it have signed. The control plane checks it, and so does
 * every node: who has taken over this process cannot make a node follow.
 */
import type { TrustChain } from "@picket/shared/contract";
import { followTrust, type Trust, type TrustEnvelope } from "@picket/shared/trust";
import { asc, desc, gt, max, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now } from "../context.ts";
import type { Db, Tx } from "../db/client.ts";
import { releaseKeys, trustRoots } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { Refusal } from "../refusal.ts";

const ROOTS_AT_ONCE = 100;

export async function currentTrust(db: Db | Tx): Promise<Trust> {
  const [root] = await db.select().from(trustRoots).orderBy(desc(trustRoots.version)).limit(1);
  if (root) return { version: root.version, threshold: root.threshold, keys: root.keys };
  const keys = await db
    .select({ keyid: releaseKeys.keyid, publicKey: releaseKeys.publicKey })
    .from(releaseKeys)
    .orderBy(asc(releaseKeys.createdAt));
  return { version: 0, threshold: 1, keys };
}

/** 0: none. */
export async function newestRoot(db: Db): Promise<number> {
  const [row] = await db.select({ version: max(trustRoots.version) }).from(trustRoots);
  return row?.version ?? 0;
}

export async function showTrust({ ctx }: { ctx: Ctx }): Promise<Trust> {
  authorise(ctx, "bundles.show-trust");
  return currentTrust(ctx.db);
}

export async function publishTrust({ ctx, input }: { ctx: Ctx; input: TrustEnvelope }): Promise<Trust> {
  authorise(ctx, "bundles.publish-trust");
  return ctx.db.transaction(async tx => {
    await tx.execute(sql`lock table ${trustRoots} in exclusive mode`);
    const before = await currentTrust(tx);
    const followed = followTrust(input, before);
    if (!followed.ok) throw new Refusal("bundle-refused", followed.error);
    const { version, keys, threshold } = followed.value;
    await tx.insert(trustRoots).values({
      version,
      envelope: input,
      keys,
      threshold,
      pushedAt: now(ctx),
      pushedBy: actorName(ctx.actor),
    });
    await record(ctx, tx, {
      verb: "publish-trust",
      subject: `trust:${version}`,
      detail: {
        keys: keys.map(({ keyid }) => keyid),
        threshold,
        before: before.keys.map(({ keyid }) => keyid),
      },
    });
    return followed.value;
  });
}

/** What a node needs to follow from the root that it knows. */
export async function trustAfter({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { after: number };
}): Promise<TrustChain> {
  authorise(ctx, "agent.trust");
  const rows = await ctx.db
    .select({ envelope: trustRoots.envelope })
    .from(trustRoots)
    .where(gt(trustRoots.version, input.after))
    .orderBy(asc(trustRoots.version))
    .limit(ROOTS_AT_ONCE);
  return { items: rows.map(({ envelope }) => envelope) };
}
