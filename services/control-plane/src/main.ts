/** The API with the console. `--all`: the gateway and the workers in the same process, for one host. */
import { fileURLToPath } from "node:url";
import type { Config } from "./config.ts";
import { listenToDoorbell } from "./gateway/doorbell.ts";
import { describeGateway, gatewayFront } from "./gateway/routes.ts";
import { Waiters } from "./gateway/waiters.ts";
import { app } from "./http/app.ts";
import { type Listening, listen, runProcess } from "./listen.ts";
import { type Chosen, openServices } from "./services.ts";
import { startWorkers } from "./workers/run.ts";

export async function startControlPlane(
  config: Config,
  { all, chosen }: { all: boolean; chosen?: Chosen },
): Promise<Listening> {
  const services = await openServices(config, all ? "picket" : "picket-api", chosen);
  const waiters = new Waiters();
  const gateway = all
    ? { bell: listenToDoorbell(services, waiters), front: gatewayFront(services, waiters) }
    : undefined;
  const api = app(services, { gateway: gateway && describeGateway });
  const workers = all ? startWorkers(services) : undefined;
  const server = await listen(services, { app: api, front: gateway?.front });
  services.log.info({ url: server.url, all }, "control plane listening");
  return {
    url: server.url,
    async close() {
      services.beginClosing();
      gateway?.bell.close();
      waiters.close();
      await server.close();
      await workers?.close();
      await services.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await runProcess(config => startControlPlane(config, { all: process.argv.includes("--all") }));
