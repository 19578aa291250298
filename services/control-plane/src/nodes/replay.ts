/**
 * A node's token is good for one call. Its `jti` is remembered in Redis, for all processes, until the token would
 * have expired anyway: the window is bounded by the token's lifetime and by each node's rate (nodes/rate.ts). With
 * Redis away each process remembers for itself, since reports and what is desired must go on; that is counted.
 */
import { createHash } from "node:crypto";
import { batched } from "../batch.ts";
import type { Metrics } from "../metrics.ts";
import { isRedisAway, type RedisClient } from "../queue/redis.ts";
import { type NodeClaims, SKEW_S } from "./token.ts";

/** What one process remembers while Redis is away. */
const KEPT_MAX = 200_000;

export class UsedTokens {
  readonly #redis: RedisClient;
  readonly #metrics: Metrics;
  readonly #here = new Set<string>();

  constructor(redis: RedisClient, metrics: Metrics) {
    this.#redis = redis;
    this.#metrics = metrics;
  }

  readonly #mark = batched(
    (tokens: { id: string; leftMs: number }[]) =>
      Promise.all(
        tokens.map(
          async ({ id, leftMs }) =>
            (await this.#redis.set(`picket:used:${id}`, 1, "PX", leftMs, "NX")) !== null,
        ),
      ),
    { most: 500 },
  );

  /** False: it was used before. */
  async use({ iss, jti, exp }: NodeClaims, nowMs: number): Promise<boolean> {
    // Of one size, whatever the node drew.
    const id = createHash("sha256").update(`${iss} ${jti}`).digest("base64url").slice(0, 22);
    if (this.#here.has(id)) return false;
    const leftMs = Math.max(1, Math.ceil((exp + SKEW_S) * 1_000 - nowMs));
    try {
      return await this.#mark({ id, leftMs });
    } catch (error) {
      if (!isRedisAway(error)) throw error;
      this.#metrics.replaysUnchecked.inc();
      // The oldest goes first: a Set keeps the order.
      if (this.#here.size >= KEPT_MAX) this.#here.delete(this.#here.values().next().value!);
      const before = this.#here.size;
      return this.#here.add(id).size > before;
    }
  }
}
