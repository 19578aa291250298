/**
 * Takes in what a node judged hostile. A shape's text is believed only where its digest is the shape's; everything
 * else is a claim, which is judged again before anything is signed. A node that lies fills its own cap and no more.
 */
import { createHash } from "node:crypto";
import type { NodeId, ShapeDigest, SharedVerdictId } from "@picket/shared/ids";
import type { ClaimBatch, ClaimBatchResponse, VerdictClaim } from "@picket/shared/immunity";
import { SHAPE_ALGORITHM } from "@picket/shared/shape";
import type { Dialect } from "@picket/shared/vocabulary";
import { and, count, eq, inArray } from "drizzle-orm";
import { type Ctx, now, uuid } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { sharedVerdictClaims, sharedVerdicts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

/** Of one node, waiting to be judged again. */
const PENDING_PER_NODE_MAX = 20;

const LIVE = ["pending", "in-force"] as const;

export async function claimVerdicts({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: ClaimBatch;
}): Promise<ClaimBatchResponse> {
  authorise(ctx, "agent.claims");
  const node = theNode(ctx);
  const claims = input.claims
    .filter(({ shape, dialect, text }) => digestOf(dialect, text) === shape)
    .toSorted((a, b) => (a.shape < b.shape ? -1 : 1)); // One order of locks for all nodes.
  let [taken, added] = [0, 0];
  await ctx.db.transaction(async tx => {
    const [waiting] = await tx
      .select({ pending: count() })
      .from(sharedVerdicts)
      .where(and(eq(sharedVerdicts.source, node), eq(sharedVerdicts.state, "pending")));
    const room = PENDING_PER_NODE_MAX - waiting!.pending;
    for (const claim of claims) {
      const known = await join(ctx, tx, node, claim);
      if (known) taken += 1;
      else if (added < room && !(await isRefuted(tx, claim)) && (await add(ctx, tx, node, claim)))
        [taken, added] = [taken + 1, added + 1];
    }
  });
  ctx.metrics.claims.inc({ outcome: "taken" }, taken);
  ctx.metrics.claims.inc({ outcome: "refused" }, input.claims.length - taken);
  if (added > 0) ctx.jobs.nudge({ kind: "share-verdicts" });
  return { taken, refused: input.claims.length - taken };
}

/** Somebody has claimed it already: this node says so, too. */
async function join(ctx: Ctx, tx: Tx, node: NodeId, { shape }: VerdictClaim): Promise<boolean> {
  const [live] = await tx
    .select({ id: sharedVerdicts.id })
    .from(sharedVerdicts)
    .where(and(eq(sharedVerdicts.shape, shape), inArray(sharedVerdicts.state, [...LIVE])));
  if (!live) return false;
  await tx
    .insert(sharedVerdictClaims)
    .values({ verdict: live.id, node, at: now(ctx) })
    .onConflictDoNothing();
  return true;
}

/** A person has said of this version that it is wrong about the shape; another version may know better. */
async function isRefuted(tx: Tx, { shape, ruleSet, version }: VerdictClaim): Promise<boolean> {
  const [said] = await tx
    .select({ id: sharedVerdicts.id })
    .from(sharedVerdicts)
    .where(
      and(
        eq(sharedVerdicts.shape, shape),
        eq(sharedVerdicts.refuted, true),
        eq(sharedVerdicts.ruleSet, ruleSet),
        eq(sharedVerdicts.version, version),
      ),
    )
    .limit(1);
  return said !== undefined;
}

async function add(ctx: Ctx, tx: Tx, node: NodeId, claim: VerdictClaim): Promise<boolean> {
  const { judgedAt, ...said } = claim;
  const id = uuid(ctx) as SharedVerdictId;
  const added = await tx
    .insert(sharedVerdicts)
    .values({
      ...said,
      id,
      state: "pending",
      source: node,
      judgedAt: new Date(judgedAt),
      claimedAt: now(ctx),
    })
    .onConflictDoNothing()
    .returning({ id: sharedVerdicts.id });
  // Somebody was faster: the node may claim it again.
  if (added.length === 0) return false;
  await tx.insert(sharedVerdictClaims).values({ verdict: id, node, at: now(ctx) });
  return true;
}

/** docs/fingerprint.md */
const digestOf = (dialect: Dialect, text: string): ShapeDigest =>
  createHash("sha256").update(`${SHAPE_ALGORITHM}\n${dialect}\n${text}`).digest("hex") as ShapeDigest;
