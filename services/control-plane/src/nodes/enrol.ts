/**
 * A join token and a public key made on the node become a node. Uses are counted in the statement that checks
 * them, so that two nodes cannot share the last one. A node whose answer was lost may ask again with the same key
 * and token: it is the same node and costs no second use.
 */
import type { EnrolRequest, EnrolResponse } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { FULL_PACE } from "@picket/shared/pace";
import { and, eq, gt, isNull, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { currentTrust } from "../bundles/trust.ts";
import { type Ctx, now, uuid } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { joinTokens, nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { hashToken } from "../identity/secrets.ts";
import { Refusal } from "../refusal.ts";
import { nudgeActiveRollouts } from "../rollouts/nudge.ts";
import { assignStable } from "../rollouts/stable.ts";
import { silentAt } from "./pace.ts";

export async function enrol({ ctx, input }: { ctx: Ctx; input: EnrolRequest }): Promise<EnrolResponse> {
  authorise(ctx, "nodes.enrol");
  const { node, assigned } = await ctx.db.transaction(async tx => {
    const known = await findByKey(tx, input);
    if (known) return { node: known, assigned: [] };
    const token = await spend(ctx, tx, input.joinToken);
    const id = uuid(ctx) as NodeId;
    const labels = { ...input.labels, ...token.labels };
    await tx.insert(nodes).values({
      id,
      hostname: input.hostname,
      labels,
      labelsFixed: token.labels,
      publicKey: input.publicKey,
      kernel: input.kernel,
      agentVersion: input.agentVersion,
      joinToken: token.id,
      enrolledAt: now(ctx),
      lastSeenAt: now(ctx),
      silentAt: silentAt(ctx, FULL_PACE),
    });
    const assigned = await assignStable(ctx, tx, [{ id, labels }]);
    await record({ ...ctx, actor: { kind: "node", node: id } }, tx, {
      verb: "enrol",
      subject: `node:${id}`,
      detail: { hostname: input.hostname, labels, joinToken: token.id },
    });
    return { node: id, assigned };
  });
  await ctx.inbox.offer(assigned);
  await nudgeActiveRollouts(ctx);
  const { keys, version, threshold } = await currentTrust(ctx.db);
  return { node, releaseKeys: keys, trust: { version, threshold } };
}

async function findByKey(tx: Tx, input: EnrolRequest): Promise<NodeId | null> {
  const [row] = await tx
    .select({ id: nodes.id, hash: joinTokens.hash, retiredAt: nodes.retiredAt })
    .from(nodes)
    .innerJoin(joinTokens, eq(nodes.joinToken, joinTokens.id))
    .where(eq(nodes.publicKey, input.publicKey));
  if (!row) return null;
  if (row.retiredAt !== null || row.hash !== hashToken(input.joinToken))
    throw new Refusal("key-taken", "a node with this key is enrolled or retired: make a new key");
  return row.id;
}

async function spend(ctx: Ctx, tx: Tx, token: string) {
  const [row] = await tx
    .update(joinTokens)
    .set({ uses: sql`${joinTokens.uses} + 1` })
    .where(
      and(
        eq(joinTokens.hash, hashToken(token)),
        isNull(joinTokens.revokedAt),
        gt(joinTokens.expiresAt, now(ctx)),
        sql`${joinTokens.uses} < ${joinTokens.usesMax}`,
      ),
    )
    .returning();
  if (!row)
    throw new Refusal(
      "join-token-refused",
      "the join token is unknown, used up, expired or revoked: make a new one",
    );
  return row;
}
