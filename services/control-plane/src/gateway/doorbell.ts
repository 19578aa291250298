/** Listens to the doorbell. Pub/sub forgets what rang while it was away, so after each (re)connection all look. */
import type { NodeId } from "@picket/shared/ids";
import type { Logger } from "pino";
import { connectRedis, patient } from "../queue/redis.ts";
import { DOORBELL } from "./inbox.ts";
import type { Waiters } from "./waiters.ts";

export function listenToDoorbell(redisUrl: string, waiters: Waiters, log: Logger): { close(): void } {
  const redis = connectRedis(redisUrl, { ...patient, autoResubscribe: false }, log, "doorbell");
  redis.on("ready", () => {
    redis.subscribe(DOORBELL).then(
      () => waiters.ringAll(),
      (error: Error) => log.warn({ error }, "the doorbell is not heard; polls look when they end"),
    );
  });
  redis.on("message", (_channel: string, nodes: string) => {
    for (const node of nodes.split(" ")) waiters.ring(node as NodeId);
  });
  return { close: () => redis.disconnect() };
}
