/** Serves a fetch handler on Node and stops in order: waiting requests end first, then connections, then the rest. */

import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { getRequestListener } from "@hono/node-server";
import { type Config, ConfigError, readConfig } from "./config.ts";
import type { Services } from "./context.ts";
import { isPostgresAway } from "./db/client.ts";
import type { Front } from "./gateway/routes.ts";
import type { App } from "./http/route.ts";
import { describeError } from "./log.ts";
import { followRenewals, readTls } from "./tls.ts";

export interface Listening {
  url: string;
  close(): Promise<void>;
}

/** Connections that wait to be accepted when a whole fleet comes back at once; the kernel's own bound is lower. */
const BACKLOG = 8_192;

export function listen(
  { config, log }: Pick<Services, "config" | "log">,
  { app, front }: { app: App; front?: Front | undefined },
): Promise<Listening> {
  const { host, port } = config.listen;
  const serveApp = getRequestListener(app.fetch, { hostname: host });
  const server = createServer({ config, log }, (request, response) => {
    if (!front?.(request, response)) void serveApp(request, response);
  });
  // A request that sends nothing ends; a poll waits for its answer as long as it asked for. The time counts from the
  // connection: when a fleet comes back at once, what a node sent may have been dropped, and comes as TCP repeats it.
  server.headersTimeout = 45_000;
  server.requestTimeout = 60_000;
  server.keepAliveTimeout = 75_000;
  const close = () =>
    new Promise<void>(done => {
      server.close(() => done());
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 2_000).unref();
    });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: BACKLOG }, () =>
      resolve({ url: urlOf(config, server.address() as AddressInfo), close }),
    );
  });
}

function createServer({ config, log }: Pick<Services, "config" | "log">, serve: RequestListener) {
  // A node whose host is gone without a word must not hold its poll's place for long.
  const socket = { keepAlive: true, keepAliveInitialDelay: 60_000, noDelay: true };
  const { tls } = config;
  if (tls === null) return createHttpServer(socket, serve);
  // Who shows no certificate is let in: people have none. What only nodes may call asks for it (tls.ts).
  const certificates = { requestCert: tls.clientCa !== null, rejectUnauthorized: false };
  const server = createHttpsServer({ ...socket, ...readTls(tls), ...certificates }, serve);
  followRenewals(server, tls, config.tlsCheckMs, log);
  return server;
}

const urlOf = ({ tls }: Config, { address, port, family }: AddressInfo): string =>
  `${tls === null ? "http" : "https"}://${family === "IPv6" ? `[${address}]` : address}:${port}`;

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
