/** Workers alone: rollouts, alerts, webhooks, tickets. Any number of these may run. */
import { fileURLToPath } from "node:url";
import type { Config } from "./config.ts";
import { runProcess } from "./listen.ts";
import { openServices } from "./services.ts";
import { startWorkers } from "./workers/run.ts";

export async function startWorker(config: Config): Promise<{ close(): Promise<void> }> {
  const services = await openServices(config, "picket-worker");
  const workers = startWorkers(services);
  services.log.info("worker running");
  return {
    async close() {
      services.beginClosing();
      await workers.close();
      await services.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runProcess(startWorker);
