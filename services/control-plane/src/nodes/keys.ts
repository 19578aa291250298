/**
 * The public keys of nodes that may speak. Looked up in batches: after an outage a whole fleet comes at once. A
 * process that hears the doorbell keeps them for a while and forgets a node's the moment its standing changes;
 * one that does not asks each time.
 */
import type { NodeId } from "@picket/shared/ids";
import { and, isNull } from "drizzle-orm";
import { batched } from "../batch.ts";
import type { Ctx } from "../context.ts";
import { among } from "../db/among.ts";
import type { Db } from "../db/client.ts";
import { nodes } from "../db/schema.ts";

/** Rings with a node's id when its key or its standing changed. */
export const STANDING = "picket:standing";

/** For how long at most a gateway may not know, should Redis have been away when the bell rang. */
const KEPT_MS = 300_000;

interface Keys {
  publicKey: string;
  /** The one before a rotation, for tokens that were under way. */
  previous: { publicKey: string; untilMs: number } | null;
}

export class NodeKeys {
  readonly #kept = new Map<NodeId, Keys & { untilMs: number }>();
  readonly #find: (node: NodeId) => Promise<Keys | null>;
  readonly #clock: () => number;
  #keeps = false;
  #epoch = 0;

  constructor(db: Db, clock: () => number) {
    this.#clock = clock;
    this.#find = batched(nodesAsked => find(db, nodesAsked), { most: 500 });
  }

  /** base64url of raw Ed25519 keys, the one that holds first; empty: not enrolled, quarantined or retired. */
  async of(node: NodeId): Promise<string[]> {
    const nowMs = this.#clock();
    const kept = this.#kept.get(node);
    if (kept && kept.untilMs > nowMs) return alive(kept, nowMs);
    const epoch = this.#epoch;
    const found = await this.#find(node);
    if (found === null) this.#kept.delete(node);
    // What was read while somebody's standing changed may be from before.
    else if (this.#keeps && this.#epoch === epoch)
      this.#kept.set(node, { ...found, untilMs: this.#clock() + KEPT_MS });
    return found === null ? [] : alive(found, nowMs);
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

const alive = ({ publicKey, previous }: Keys, nowMs: number): string[] =>
  previous !== null && previous.untilMs > nowMs ? [publicKey, previous.publicKey] : [publicKey];

async function find(db: Db, asked: NodeId[]): Promise<(Keys | null)[]> {
  const rows = await db
    .select({
      id: nodes.id,
      publicKey: nodes.publicKey,
      previousKey: nodes.previousKey,
      previousKeyUntil: nodes.previousKeyUntil,
    })
    .from(nodes)
    .where(and(among(nodes.id, new Set(asked)), isNull(nodes.retiredAt), isNull(nodes.quarantinedAt)));
  const keys = new Map(
    rows.map(({ id, publicKey, previousKey, previousKeyUntil }) => [
      id,
      {
        publicKey,
        previous:
          previousKey === null || previousKeyUntil === null
            ? null
            : { publicKey: previousKey, untilMs: previousKeyUntil.getTime() },
      },
    ]),
  );
  return asked.map(node => keys.get(node) ?? null);
}
