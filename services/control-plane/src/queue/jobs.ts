/**
 * A job nudges; the row is the truth. Adding one never fails a request: a nudge lost while Redis is away is
 * counted and repaired by the sweep. Equal nudges fold into one waiting job, and one that comes while its like
 * is running is run again afterwards (BullMQ `keepLastIfActive`), so the last change is always seen.
 */
import type { RolloutId } from "@picket/shared/ids";
import { type ConnectionOptions, Queue } from "bullmq";
import type { Logger } from "pino";
import type { Metrics } from "../metrics.ts";
import { logOutages, redisOptions, unhurried } from "./redis.ts";

export const QUEUE = "picket";

export type Job =
  | { kind: "reconcile-rollout"; rollout: RolloutId }
  | { kind: "fold-detections" }
  | { kind: "deliver-webhook"; delivery: string }
  | { kind: "sync-ticket"; causalKey: string }
  | { kind: "run-backtest"; backtest: string }
  | { kind: "share-verdicts" };

export interface Jobs {
  /** `once` names a reminder: given again with the same name before it rang, it stays one. */
  nudge(job: Job, options?: { delayMs?: number; once?: string }): void;
  close(): Promise<void>;
}

/** Equal keys are one nudge. */
function keyOf(job: Job): string {
  switch (job.kind) {
    case "reconcile-rollout":
      return `${job.kind}/${job.rollout}`;
    case "fold-detections":
    case "share-verdicts":
      return job.kind;
    case "deliver-webhook":
      return `${job.kind}/${job.delivery}`;
    case "sync-ticket":
      return `${job.kind}/${job.causalKey}`;
    case "run-backtest":
      return `${job.kind}/${job.backtest}`;
  }
}

export function connectJobs(redisUrl: string, { log, metrics }: { log: Logger; metrics: Metrics }): Jobs {
  const queue = new Queue<Job, void, Job["kind"]>(QUEUE, {
    connection: { ...redisOptions(redisUrl), ...unhurried } as ConnectionOptions,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  logOutages(queue as never, log, "jobs");
  const pending = new Set<Promise<unknown>>();
  return {
    nudge(job, { delayMs = 0, once = "" } = {}) {
      // A reminder has a name of its own: it must not swallow a nudge that is wanted now.
      const options =
        delayMs > 0
          ? { delay: delayMs, deduplication: { id: `${keyOf(job)}/${once}` } }
          : { deduplication: { id: keyOf(job), keepLastIfActive: true } };
      const added = queue
        .add(job.kind, job, options)
        .catch((error: Error) => {
          metrics.nudgesLost.inc({ kind: job.kind });
          log.debug({ job: job.kind, error }, "nudge lost; the sweep repairs it");
        })
        .finally(() => pending.delete(added));
      pending.add(added);
    },
    async close() {
      await Promise.allSettled(pending);
      await queue.close().catch(() => undefined);
    },
  };
}
