/** Listens to the doorbell. Pub/sub forgets what rang while it was away, so after each (re)connection all look. */
import type { NodeId } from "@picket/shared/ids";
import type { Services } from "../context.ts";
import { lastSequence, VERDICTS } from "../immunity/issue.ts";
import { STANDING } from "../nodes/keys.ts";
import { connectRedis, patient } from "../queue/redis.ts";
import { DOORBELL, REPORT } from "./inbox.ts";
import type { Waiters } from "./waiters.ts";

export function listenToDoorbell(
  { config, db, nodeKeys, log }: Pick<Services, "config" | "db" | "nodeKeys" | "log">,
  waiters: Waiters,
): { close(): void } {
  const redis = connectRedis(config.redisUrl, { ...patient, autoResubscribe: false }, log, "doorbell");
  redis.on("ready", () => {
    waiters.forgetIssued();
    redis.subscribe(DOORBELL, REPORT, STANDING, VERDICTS).then(
      () => {
        nodeKeys.keep(true);
        waiters.ringAll();
        lastSequence({ db }).then(
          sequence => waiters.issued(sequence),
          (error: Error) => log.warn({ error }, "how far verdicts are shared is not known until one is"),
        );
      },
      (error: Error) => log.warn({ error }, "the doorbell is not heard; polls look when they end"),
    );
  });
  redis.on("close", () => nodeKeys.keep(false));
  redis.on("message", (channel: string, nodes: string) => {
    if (channel === VERDICTS) {
      waiters.issued(Number(nodes) || 0);
      return;
    }
    for (const node of nodes.split(" ") as NodeId[]) {
      if (channel === DOORBELL) waiters.ring(node);
      else if (channel === REPORT) waiters.askToReport(node);
      else {
        // Its poll ends, and its next call meets its new standing.
        nodeKeys.forget(node);
        waiters.end(node);
      }
    }
  });
  return { close: () => redis.disconnect() };
}
