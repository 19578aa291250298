/**
 * The public keys of nodes that may speak. Looked up in batches: after an outage a whole fleet comes at once. A
 * process that hears the doorbell keeps them for a while and forgets a node's the moment its standing changes;
 * one that does not asks each time.
 */
import type { NodeId } from "@picket/shared/ids";
import { and, inArray, isNull } from "drizzle-orm";
import { batched } from "../batch.ts";
import type { Ctx } from "../context.ts";
import type { Db } from "../db/client.ts";
import { nodes } from "../db/schema.ts";

/** Rings with a node's id when its key or its standing changed. */
export const STANDING = "picket:standing";

/** For how long at most a gateway may not know, should Redis have been away when the bell rang. */
const KEPT_MS = 300_000;

export class NodeKeys {
  readonly #kept = new Map<NodeId, { publicKey: string; untilMs: number }>();
  readonly #find: (node: NodeId) => Promise<string | null>;
  readonly #clock: () => number;
  #keeps = false;
  #epoch = 0;

  constructor(db: Db, clock: () => number) {
    this.#clock = clock;
    this.#find = batched(nodesAsked => find(db, nodesAsked), { most: 500 });
  }

  /** base64url of the raw Ed25519 key; null: not enrolled, quarantined or retired. */
  async of(node: NodeId): Promise<string | null> {
    const kept = this.#kept.get(node);
    if (kept && kept.untilMs > this.#clock()) return kept.publicKey;
    const epoch = this.#epoch;
    const publicKey = await this.#find(node);
    if (publicKey === null) this.#kept.delete(node);
    // What was read while somebody's standing changed may be from before.
    else if (this.#keeps && this.#epoch === epoch)
      this.#kept.set(node, { publicKey, untilMs: this.#clock() + KEPT_MS });
    return publicKey;
  }

  /** Whether somebody calls `forget` in time from now on. What was kept before may be old. */
  keep(heard: boolean): void {
    this.#kept.clear();
    this.#keeps = heard;
  }

  forget(node: NodeId): void {
    this.#epoch += 1;
    this.#kept.delete(node);
  }
}

/** After the commit: every gateway forgets the node's key and ends its poll. */
export async function announceStanding(ctx: Ctx, node: NodeId): Promise<void> {
  ctx.nodeKeys.forget(node);
  await ctx.redis.publish(STANDING, node).catch((error: Error) => {
    ctx.log.warn(
      { node, error },
      "gateways did not hear that a node's standing changed; they keep keys for minutes only",
    );
  });
}

async function find(db: Db, asked: NodeId[]): Promise<(string | null)[]> {
  const rows = await db
    .select({ id: nodes.id, publicKey: nodes.publicKey })
    .from(nodes)
    .where(and(inArray(nodes.id, [...new Set(asked)]), isNull(nodes.retiredAt), isNull(nodes.quarantinedAt)));
  const keys = new Map(rows.map(({ id, publicKey }) => [id, publicKey]));
  return asked.map(node => keys.get(node) ?? null);
}
