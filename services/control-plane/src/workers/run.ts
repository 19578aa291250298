/** Runs jobs: each reads its rows again and does what they ask, so a job that runs twice does nothing twice. */
import { setTimeout } from "node:timers/promises";
import { type ConnectionOptions, Worker } from "bullmq";
import { foldDetections } from "../alerts/fold-detections.ts";
import { runBacktest } from "../backtests/run.ts";
import { asSystem, type Ctx, type Services } from "../context.ts";
import { deliver } from "../deliveries/deliver.ts";
import { closeJudge } from "../immunity/judge.ts";
import { shareVerdicts } from "../immunity/share.ts";
import { type Job, QUEUE } from "../queue/jobs.ts";
import { logOutages, patient, redisOptions } from "../queue/redis.ts";
import { reconcileRollout } from "../rollouts/reconcile.ts";
import { syncTicket } from "../tickets/sync.ts";
import { startSweeping } from "./sweep.ts";

const CONCURRENCY = 16;
const PAUSE_MS_MAX = 10_000;

export async function runJob(ctx: Ctx, job: Job): Promise<void> {
  switch (job.kind) {
    case "reconcile-rollout": {
      const fromMs = performance.now();
      await reconcileRollout({ ctx, input: job });
      await breathe(ctx, performance.now() - fromMs);
      return;
    }
    case "fold-detections":
      await foldDetections({ ctx });
      return;
    case "deliver-webhook":
      await deliver({ ctx, input: job });
      return;
    case "sync-ticket":
      await syncTicket({ ctx, input: job });
      return;
    case "run-backtest":
      await runBacktest({ ctx, input: job });
      return;
    case "share-verdicts":
      await shareVerdicts({ ctx });
      return;
  }
}

/**
 * A pass reads all of its rollout, and every report of a wave asks for one: what asks meanwhile is one pass
 * afterwards. So a large fleet's passes take a part of the time only, and a small one's come at once.
 */
async function breathe({ closing }: Ctx, tookMs: number): Promise<void> {
  await setTimeout(Math.min(PAUSE_MS_MAX, 2 * tookMs), undefined, { signal: closing }).catch(() => undefined);
}

export function startWorkers(services: Services): { close(): Promise<void> } {
  const ctx = asSystem(services, "system:worker");
  const { log, metrics } = services;
  const worker = new Worker<Job, void, Job["kind"]>(
    QUEUE,
    async ({ data }) => {
      try {
        await runJob(ctx, data);
        metrics.jobs.inc({ kind: data.kind, outcome: "done" });
      } catch (error) {
        // The row still says what is to be done: the sweep comes back to it.
        metrics.jobs.inc({ kind: data.kind, outcome: "failed" });
        log.warn({ job: data, error }, "job failed; the sweep repeats it");
      }
    },
    {
      connection: { ...redisOptions(services.config.redisUrl), ...patient } as ConnectionOptions,
      concurrency: CONCURRENCY,
    },
  );
  logOutages(worker as never, log, "worker");
  const sweeper = startSweeping(ctx);
  return {
    async close() {
      await sweeper.close();
      await worker.close().catch(() => undefined);
      await closeJudge();
    },
  };
}
