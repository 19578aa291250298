/**
 * A node changes its key: the call is signed by the old one, and the new one signs that it is this node's, so that nobody
 * gives a node a key that is another's. Tokens that the old key has signed already are let in for as long as they live.
 * Asked again with the key that holds by then, it says yes again: the answer to the first time may have been lost.
 */
import { createPublicKey, verify } from "node:crypto";
import { type KeyRotation, keyRotationMessage } from "@picket/shared/contract";
import { and, eq, isNull } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { type Ctx, now } from "../context.ts";
import { isUniqueViolation } from "../db/client.ts";
import { nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";
import { announceStanding } from "./keys.ts";
import { theNode } from "./the-node.ts";

/** The longest life of a token, and clocks that differ. */
const GRACE_MS = 90_000;

export async function rotateKey({ ctx, input }: { ctx: Ctx; input: KeyRotation }): Promise<void> {
  authorise(ctx, "agent.rotate-key");
  const node = theNode(ctx);
  const { publicKey } = input;
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
  if (
    !verify(
      null,
      Buffer.from(keyRotationMessage(node, publicKey)),
      key,
      Buffer.from(input.proof, "base64url"),
    )
  )
    throw new Refusal("invalid", "proof: the new key has not signed that it is this node's");
  const changed = await ctx.db
    .transaction(async tx => {
      const [row] = await tx
        .select({ publicKey: nodes.publicKey })
        .from(nodes)
        .where(and(eq(nodes.id, node), isNull(nodes.retiredAt)))
        .for("update");
      if (!row) throw notFound(`node ${node}`);
      if (row.publicKey === publicKey) return false;
      // The old key has been given up; it may finish what it began and not take the node back.
      if (ctx.actor.kind === "node" && ctx.actor.key !== row.publicKey)
        throw new Refusal("key-taken", "this node has another key by now");
      await tx
        .update(nodes)
        .set({
          publicKey,
          keySince: now(ctx),
          previousKey: row.publicKey,
          previousKeyUntil: new Date(ctx.clock() + GRACE_MS),
        })
        .where(eq(nodes.id, node));
      await record(ctx, tx, { verb: "rotate-key", subject: `node:${node}` });
      return true;
    })
    .catch(error => {
      if (isUniqueViolation(error, "nodes_public_key_unique"))
        throw new Refusal("key-taken", "another node has this key: make a new one");
      throw error;
    });
  if (changed) await announceStanding(ctx, node);
}
