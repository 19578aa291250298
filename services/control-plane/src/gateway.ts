/** The gateway alone: agents' long polls, and nothing else that a process must remember. */
import { fileURLToPath } from "node:url";
import type { Config } from "./config.ts";
import { listenToDoorbell } from "./gateway/doorbell.ts";
import { describeGateway, gatewayFront } from "./gateway/routes.ts";
import { Waiters } from "./gateway/waiters.ts";
import { baseApp } from "./http/app.ts";
import { type Listening, listen, runProcess } from "./listen.ts";
import { openServices } from "./services.ts";

export async function startGateway(config: Config): Promise<Listening> {
  const services = await openServices(config, "picket-gateway");
  const waiters = new Waiters();
  const bell = listenToDoorbell(services, waiters);
  const app = baseApp(services);
  describeGateway(app);
  const server = await listen(services, { app, front: gatewayFront(services, waiters) });
  services.log.info({ url: server.url }, "gateway listening");
  return {
    url: server.url,
    async close() {
      services.beginClosing();
      bell.close();
      waiters.close();
      await server.close();
      await services.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runProcess(startGateway);
