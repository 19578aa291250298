/** /healthz and /metrics on a loopback port. The metrics library is loaded with the first scrape. */
import { createServer, type Server } from "node:http";
import type { Report } from "@picket/shared/contract";

export type Health = { ok: boolean; reasons: string[] };

export async function openMetrics(input: {
  listen: { host: string; port: number };
  health: () => Health;
  report: () => Report;
}): Promise<Server> {
  let render: Promise<(report: Report) => Promise<string>> | undefined;
  const server = createServer(async (request, response) => {
    try {
      switch (request.url?.split("?")[0]) {
        case "/healthz": {
          const health = input.health();
          response.writeHead(health.ok ? 200 : 503, { "content-type": "application/json" });
          return response.end(JSON.stringify(health));
        }
        case "/metrics": {
          render ??= import("./render.ts").then(module => module.createRenderer());
          const text = await (await render)(input.report());
          response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
          return response.end(text);
        }
        default:
          response.writeHead(404);
          return response.end();
      }
    } catch (error) {
      if (!response.headersSent) response.writeHead(500);
      response.end((error as Error).message);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(input.listen.port, input.listen.host, resolve);
  });
  return server;
}
