import { existsSync } from "node:fs";
import { join } from "node:path";
import { startPostgres, startRedis } from "../embedded.ts";
import { InfraError, launch, untilReady } from "../process.ts";
import type { Service } from "../supervisor.ts";
import { answersOk, apiAt } from "./api.ts";
import { checkout, type Home, logFile } from "./home.ts";

// What runs on one host, in the order in which it starts. Each is ready before the next one begins.

export type Plan = {
  home: Home;
  /** Where the control plane listens: loopback, or an address that other hosts reach. */
  host: string;
  /** Addresses that were free. */
  ports: { console: number; agentMetrics: number };
  agent: { socket: string; instance: string; cgroup: string; labels: string };
  /** From outside: these replace the embedded servers. */
  databaseUrl: string | undefined;
  redisUrl: string | undefined;
  /** Added to the control plane's environment. */
  controlPlaneEnv: Record<string, string>;
};

export type Addresses = { database: string; redis: string };

export const consoleUrl = ({ host, ports }: Plan): string =>
  `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${ports.console}`;

export function postgresService({ home, databaseUrl }: Plan, addresses: Addresses): Service {
  if (databaseUrl !== undefined)
    return external("PostgreSQL (DATABASE_URL)", () => (addresses.database = databaseUrl));
  return {
    name: "PostgreSQL",
    async start() {
      const server = await startPostgres({ dir: join(home.dir, "postgres"), cache: home.dir });
      addresses.database = server.url;
      return server;
    },
  };
}

export function redisService({ home, redisUrl }: Plan, addresses: Addresses): Service {
  if (redisUrl !== undefined) return external("Redis (REDIS_URL)", () => (addresses.redis = redisUrl));
  return {
    name: "Redis",
    async start() {
      const server = await startRedis({ dir: join(home.dir, "redis") });
      addresses.redis = server.url;
      return server;
    },
  };
}

/** Somebody else's server: the control plane says in its readiness whether it can be reached. */
function external(name: string, use: () => void): Service {
  return {
    name,
    async start() {
      use();
      return { stop: async () => undefined };
    },
  };
}

export function controlPlaneService(plan: Plan, addresses: Addresses): Service {
  const program = join(checkout, "services/control-plane/dist/main.js");
  return node({
    name: "Control plane",
    program,
    args: ["--all"],
    log: logFile(plan.home, "control-plane"),
    ready: `${consoleUrl(plan)}/readyz`,
    env: () => ({
      DATABASE_URL: addresses.database,
      REDIS_URL: addresses.redis,
      PICKET_LISTEN: `${plan.host}:${plan.ports.console}`,
      PICKET_BOOTSTRAP_TOKEN: plan.home.bootstrapToken,
      PICKET_SECRET_KEY: plan.home.secretKey,
      ...plan.controlPlaneEnv,
    }),
  });
}

export function agentService(plan: Plan): Service {
  const state = join(plan.home.dir, "agent");
  const api = apiAt(consoleUrl(plan), plan.home.bootstrapToken);
  const enrolment = async (): Promise<Record<string, string>> => {
    if (existsSync(join(state, "node.json"))) return {};
    const { token } = await api.call<{ token: string }>("POST", "/v1/join-tokens", {
      usesMax: 1,
      ttl: "10m",
    });
    return { PICKET_JOIN_TOKEN: token };
  };
  return node({
    name: "Agent",
    program: join(checkout, "services/agent/dist/main.js"),
    log: logFile(plan.home, "agent"),
    ready: `http://127.0.0.1:${plan.ports.agentMetrics}/healthz`,
    // It empties its slots and waits for enrolled sockets, within its own bounds.
    stopTimeoutMs: 20_000,
    env: async () => ({
      PICKET_URL: consoleUrl(plan),
      PICKET_STATE: state,
      PICKET_SOCKET: plan.agent.socket,
      PICKET_METRICS: `127.0.0.1:${plan.ports.agentMetrics}`,
      PICKET_CGROUP: plan.agent.cgroup,
      PICKET_INSTANCE: plan.agent.instance,
      PICKET_LABELS: plan.agent.labels,
      ...(await enrolment()),
    }),
  });
}

export type NodeProgram = {
  name: string;
  program: string;
  args?: string[];
  log: string;
  /** Answers 200 when the service is ready. */
  ready: string;
  stopTimeoutMs?: number;
  cgroup?: string;
  env(): Record<string, string> | Promise<Record<string, string>>;
};

/** One of our own programs: a Node process that is started again when it dies. */
export function node({
  name,
  program,
  args = [],
  log,
  ready,
  stopTimeoutMs = 10_000,
  cgroup,
  env,
}: NodeProgram): Service {
  return {
    name,
    restarts: true,
    async start(signal) {
      if (!existsSync(program))
        throw new InfraError("not-built", `${program} is absent: npm run setup builds it`);
      const child = launch({
        name,
        command: process.execPath,
        args: [program, ...args],
        cwd: checkout,
        env: { ...inherited(), NODE_ENV: "production", ...(await env()) },
        logFile: log,
        cgroup,
      });
      await untilReady({ child, logFile: log, signal, ready: () => answersOk(ready) });
      return { exited: child.exited, logFile: log, stop: () => child.stop({ timeoutMs: stopTimeoutMs }) };
    },
  };
}

/** PICKET_* settings of the terminal reach the services; npm's own variables do not. */
function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|^INIT_CWD$/.test(name)));
}
