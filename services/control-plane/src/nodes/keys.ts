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
/** Whoever polls less often than twice the longest wait has gone elsewhere. */
const UNUSED_MS = 3_600_000;
const RENEWED_EVERY_MS = 60_000;
/** A look that waits so long delays nobody by much; one that comes alone costs as much as a batch. */
const FIND_EVERY_MS = 25;

export interface Keys {
  publicKey: string;
  /** The one before a rotation, for tokens that were under way. */
  previous: { publicKey: string; untilMs: number } | null;
}

export class NodeKeys {
  readonly #kept = new Map<NodeId, Keys & { untilMs: number; usedMs: number }>();
  readonly #find: (node: NodeId) => Promise<Keys | null>;
  readonly #clock: () => number;
  #keeps = false;
  #epoch = 0;
  #renewing: NodeJS.Timeout | undefined;

  /** `find` answers in order; null: the node may not speak. */
  constructor(find: (asked: NodeId[]) => Promise<(Keys | null)[]>, clock: () => number) {
    this.#clock = clock;
    this.#find = batched(find, { most: 500, everyMs: FIND_EVERY_MS });
  }

  /** base64url of raw Ed25519 keys, the one that holds first; empty: not enrolled, quarantined or retired. */
  async of(node: NodeId): Promise<string[]> {
    const nowMs = this.#clock();
    const kept = this.#kept.get(node);
    if (kept && kept.untilMs > nowMs) {
      kept.usedMs = nowMs;
      return alive(kept, nowMs);
    }
    const found = await this.#read(node, nowMs);
    return found === null ? [] : alive(found, nowMs);
  }

  async #read(node: NodeId, usedMs: number): Promise<Keys | null> {
    const epoch = this.#epoch;
    const found = await this.#find(node);
    if (found === null) this.#kept.delete(node);
    // What was read while somebody's standing changed may be from before.
    else if (this.#keeps && this.#epoch === epoch)
      this.#kept.set(node, { ...found, untilMs: this.#clock() + KEPT_MS, usedMs });
    return found;
  }

  /** Whether somebody calls `forget` in time from now on. What was kept before may be old. */
  keep(heard: boolean): void {
    this.#kept.clear();
    this.#keeps = heard;
    clearInterval(this.#renewing);
    if (heard) this.#renewing = setInterval(() => void this.renew(), RENEWED_EVERY_MS).unref();
  }

  /**
   * Reads the keys that would end before long anew, hundreds in one statement, where a poll each would read one. Those
   * of nodes that have gone elsewhere are forgotten.
   */
  async renew(): Promise<void> {
    const nowMs = this.#clock();
    const ending = [...this.#kept].filter(([, { untilMs }]) => untilMs < nowMs + 2 * RENEWED_EVERY_MS);
    await Promise.all(
      ending.map(([node, { usedMs }]) => {
        if (nowMs - usedMs >= UNUSED_MS) return this.#kept.delete(node);
        // Not read now, it ends when it would have, and is asked for when its node comes.
        return this.#read(node, usedMs).catch(() => {});
      }),
    );
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

export async function findKeys(db: Db, asked: NodeId[]): Promise<(Keys | null)[]> {
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
