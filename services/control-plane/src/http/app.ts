/** The HTTP API: a `fetch` handler that holds no state between requests. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Services } from "../context.ts";
import { Refusal } from "../refusal.ts";
import { CONSOLE_DIRECTORY, loadConsole, serveConsole } from "./console.ts";
import { readiness } from "./health.ts";
import { answerProblem } from "./problems.ts";
import { type App, route } from "./route.ts";
import { agentRoutes } from "./routes/agent.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { backtestRoutes } from "./routes/backtests.ts";
import { detectionRoutes } from "./routes/detections.ts";
import { identityRoutes } from "./routes/identity.ts";
import { immunityRoutes } from "./routes/immunity.ts";
import { nodeRoutes } from "./routes/nodes.ts";
import { policyRoutes } from "./routes/policies.ts";
import { profileRoutes } from "./routes/profiles.ts";
import { rolloutRoutes } from "./routes/rollouts.ts";
import { ruleRoutes } from "./routes/rules.ts";
import { ssoRoutes } from "./routes/sso.ts";

/** What API and gateway have in common: errors, timing, health. */
export function baseApp(services: Services): App {
  const app: App = new OpenAPIHono();
  app.onError((error, c) => answerProblem(c, error, services.log));
  app.notFound(noRoute);
  app.use(async (c, next) => {
    const end = services.metrics.requests.startTimer();
    await next();
    const waits = c.req.path === "/v1/agent/assignments" || c.req.path === "/v1/detections/stream";
    if (!waits) end({ route: `${c.req.method} ${c.req.routePath}`, status: String(c.res.status) });
  });
  route(app, services, "health.process", { summary: "This process runs" }, async (_ctx, _input, c) =>
    c.json({ status: "ok" }),
  );
  route(
    app,
    services,
    "health.ready",
    { summary: "PostgreSQL and Redis answer", unbounded: true },
    async (_ctx, _input, c) => {
      const state = await readiness(services);
      return c.json(state, state.ready ? 200 : 503);
    },
  );
  route(app, services, "health.metrics", { summary: "Prometheus figures" }, async (_ctx, _input, c) =>
    c.text(await services.metrics.registry.metrics(), 200, {
      "content-type": services.metrics.registry.contentType,
    }),
  );
  return app;
}

export interface AppOptions {
  consoleDirectory?: string;
  /** Describes the gateway's routes, where they are served by the same process. */
  gateway?: ((app: App) => void) | undefined;
}

export function app(
  services: Services,
  { consoleDirectory = CONSOLE_DIRECTORY, gateway }: AppOptions = {},
): App {
  const api = baseApp(services);
  identityRoutes(api, services);
  policyRoutes(api, services);
  ssoRoutes(api, services);
  nodeRoutes(api, services);
  agentRoutes(api, services);
  ruleRoutes(api, services);
  backtestRoutes(api, services);
  immunityRoutes(api, services);
  profileRoutes(api, services);
  rolloutRoutes(api, services);
  detectionRoutes(api, services);
  alertRoutes(api, services);
  gateway?.(api);
  openApiRoute(api, services);
  return withConsole(api, consoleDirectory);
}

function openApiRoute(api: App, services: Services): void {
  api.openAPIRegistry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
  api.openAPIRegistry.registerComponent("securitySchemes", "node", {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
  });
  route(api, services, "openapi.document", { summary: "This description" }, async (_ctx, _input, c) =>
    c.json(
      api.getOpenAPI31Document({
        openapi: "3.1.0",
        info: { title: "Picket control plane", version: "0.1.0", license: { name: "Apache-2.0" } },
      }),
    ),
  );
}

/** Everything else is the console's; under /v1 a path that is no route is said to be none. */
function withConsole(api: App, directory: string): App {
  const serve = serveConsole(loadConsole(directory));
  api.notFound(c => {
    const asksForPage = c.req.method === "GET" || c.req.method === "HEAD";
    return asksForPage && !c.req.path.startsWith("/v1/") ? serve(c) : noRoute(c);
  });
  return api;
}

const noRoute = (c: Context): Response =>
  answerProblem(c, new Refusal("not-found", `${c.req.method} ${c.req.path} is no route`));
