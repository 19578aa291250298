/** Serves a fetch handler on Node and stops in order: waiting requests end first, then connections, then the rest. */

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { serve } from "@hono/node-server";
import { type Config, ConfigError, readConfig } from "./config.ts";
import { isPostgresAway } from "./db/client.ts";
import type { App } from "./http/route.ts";
import { describeError } from "./log.ts";

export interface Listening {
  url: string;
  close(): Promise<void>;
}

export function listen(app: App, { host, port }: Config["listen"]): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, address => {
      resolve({ url: urlOf(address), close });
    }) as Server;
    // Long polls last a minute at most; a request that sends nothing ends sooner.
    server.headersTimeout = 15_000;
    server.requestTimeout = 60_000;
    server.keepAliveTimeout = 75_000;
    server.once("error", reject);
    const close = () =>
      new Promise<void>(done => {
        server.close(() => done());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), 2_000).unref();
      });
  });
}

const urlOf = ({ address, port, family }: AddressInfo): string =>
  `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;

/** Runs a process until it is told to stop. A second signal does not wait. */
export async function runProcess(
  start: (config: Config) => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  try {
    const running = await start(readConfig(process.env));
    let stopping = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.on(signal, () => {
        if (stopping) process.exit(1);
        stopping = true;
        running.close().then(
          () => process.exit(0),
          () => process.exit(1),
        );
      });
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`The settings are not right:\n${error.message}\n`);
      process.exit(2);
    }
    // Nothing runs yet: whoever started this starts it again.
    const what = isPostgresAway(error) ? "PostgreSQL cannot be reached" : "The start failed";
    process.stderr.write(`${what}: ${inspect(describeError(error))}\n`);
    process.exit(1);
  }
}
