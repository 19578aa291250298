/** Listens to the doorbell. Pub/sub forgets what rang while it was away, so after each (re)connection all look. */
import type { NodeId } from "@picket/shared/ids";
import type { Services } from "../context.ts";
import { STANDING } from "../nodes/keys.ts";
import { connectRedis, patient } from "../queue/redis.ts";
import { DOORBELL } from "./inbox.ts";
import type { Waiters } from "./waiters.ts";

export function listenToDoorbell(
  { config, nodeKeys, log }: Pick<Services, "config" | "nodeKeys" | "log">,
  waiters: Waiters,
): { close(): void } {
  const redis = connectRedis(config.redisUrl, { ...patient, autoResubscribe: false }, log, "doorbell");
  redis.on("ready", () => {
    redis.subscribe(DOORBELL, STANDING).then(
      () => {
        nodeKeys.keep(true);
        waiters.ringAll();
      },
      (error: Error) => log.warn({ error }, "the doorbell is not heard; polls look when they end"),
    );
  });
  redis.on("close", () => nodeKeys.keep(false));
  redis.on("message", (channel: string, nodes: string) => {
    for (const node of nodes.split(" ") as NodeId[]) {
      if (channel === DOORBELL) waiters.ring(node);
      else {
        // Its poll ends, and its next call meets its new standing.
        nodeKeys.forget(node);
        waiters.end(node);
      }
    }
  });
  return { close: () => redis.disconnect() };
}
