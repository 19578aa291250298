import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createScreen, type Screen } from "../bootstrap/screen.mjs";
import { claim } from "./claim.ts";
import { freePort, isFree } from "./ports.ts";
import { InfraError, signalQuietly } from "./process.ts";
import { printConnections } from "./start/connections.ts";
import { chooseSocket } from "./start/control-socket.ts";
import { type Home, openHome } from "./start/home.ts";
import {
  type Addresses,
  agentService,
  consoleUrl,
  controlPlaneService,
  type Plan,
  postgresService,
  redisService,
} from "./start/services.ts";
import { isAbort, type Supervised, supervise } from "./supervisor.ts";

// `npm start`: PostgreSQL, Redis, the control plane and one agent on this host, until Ctrl-C.

const CONSOLE_PORT = 7400;

/** Resolves to the exit code when everything has stopped again. */
export async function start({ argv }: { argv: string[] }): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: { demo: { type: "boolean", default: false }, port: { type: "string" } },
  });
  const screen = createScreen();
  const home = openHome({ demo: values.demo, env: process.env });
  const held = claim(home.dir);
  const signals = listenForSignals();
  try {
    const plan = await makePlan({ home, port: values.port, screen });
    return await run({ plan, screen, signals });
  } catch (error) {
    if (isAbort(error, signals.signal)) return signals.exitCode();
    if (error instanceof InfraError) {
      console.error(error.message);
      return 1;
    }
    throw error;
  } finally {
    signals.forget();
    held.release();
  }
}

async function run({
  plan,
  screen,
  signals,
}: {
  plan: Plan;
  screen: Screen;
  signals: Signals;
}): Promise<number> {
  const addresses: Addresses = { database: "", redis: "" };
  const isRoot = process.getuid?.() === 0;
  const services = [
    postgresService(plan, addresses),
    redisService(plan, addresses),
    controlPlaneService(plan, addresses),
    ...(isRoot ? [agentService(plan)] : []),
  ];
  const supervised = await supervise({ services, screen, signal: signals.signal });
  try {
    screen.note("");
    screen.note(`${screen.bold("Console")}  ${consoleUrl(plan)}`);
    screen.note(`${screen.bold("Login")}    ${plan.home.bootstrapToken}`);
    screen.note(`${screen.bold("Logs")}     ${plan.home.logs}`);
    if (isRoot) await printConnections({ socket: plan.agent.socket, screen });
    else screen.warn("The agent needs root to load its programs, so none was started here: sudo npm start");
    screen.note("");
    screen.note(
      screen.dim(
        "It observes and blocks nothing until you say: npx picket guard <unit|cgroup|pid>.  Ctrl-C stops everything.",
      ),
    );
    return await untilTheEnd({ supervised, signals, screen });
  } finally {
    await stopAll(supervised, screen);
  }
}

async function untilTheEnd({
  supervised,
  signals,
  screen,
}: {
  supervised: Supervised;
  signals: Signals;
  screen: Screen;
}): Promise<number> {
  const reason = await Promise.race([supervised.failed, signals.arrived]);
  if (typeof reason !== "string") return signals.exitCode();
  screen.warn(reason);
  return 1;
}

async function stopAll(supervised: Supervised, screen: Screen): Promise<void> {
  await screen.step("Stopping", () => supervised.stop());
}

async function makePlan({
  home,
  port,
  screen,
}: {
  home: Home;
  port: string | undefined;
  screen: Screen;
}): Promise<Plan> {
  prepareHost();
  return {
    home,
    ports: { console: await choosePort({ wanted: port, screen }), agentMetrics: await freePort() },
    agent: { socket: await chooseSocket("start"), instance: "agent", cgroup: "/", labels: "" },
    databaseUrl: process.env.DATABASE_URL,
    redisUrl: process.env.REDIS_URL,
    controlPlaneEnv: {},
  };
}

async function choosePort({
  wanted,
  screen,
}: {
  wanted: string | undefined;
  screen: Screen;
}): Promise<number> {
  const port = Number(wanted ?? CONSOLE_PORT);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InfraError("bad-port", `--port wants a number from 1 to 65535, not ${wanted}`);
  if (await isFree(port)) return port;
  if (wanted !== undefined)
    throw new InfraError("port-in-use", `Port ${port} is in use: choose another one with --port`);
  const free = await freePort();
  screen.warn(`Port ${port} is in use; the console is at ${free}`);
  return free;
}

/** The agent pins its programs in bpffs, which systemd mounts and bare hosts do not. */
function prepareHost(): void {
  if (process.getuid?.() !== 0 || /^\S+ \/sys\/fs\/bpf bpf /m.test(readFileSync("/proc/self/mounts", "utf8")))
    return;
  const { status, stderr } = spawnSync("mount", ["-t", "bpf", "bpf", "/sys/fs/bpf"], { encoding: "utf8" });
  if (status !== 0) throw new InfraError("no-bpffs", `mount -t bpf bpf /sys/fs/bpf failed: ${stderr.trim()}`);
}

type Signals = {
  signal: AbortSignal;
  arrived: Promise<void>;
  exitCode(): number;
  forget(): void;
};

/** The first Ctrl-C stops everything in order; the second one does not wait. */
function listenForSignals(): Signals {
  const abort = new AbortController();
  let number = 0;
  let arrive: () => void = () => undefined;
  const arrived = new Promise<void>(resolve => {
    arrive = resolve;
  });
  const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;
  const onSignal = (name: NodeJS.Signals): void => {
    if (number !== 0) signalQuietly(process.pid, "SIGKILL"); // The kernel ends the children (death signal).
    number = numbers[name as keyof typeof numbers];
    abort.abort();
    arrive();
  };
  for (const name of Object.keys(numbers)) process.on(name as NodeJS.Signals, onSignal);
  return {
    signal: abort.signal,
    arrived,
    exitCode: () => (number === 2 ? 0 : 128 + number),
    forget: () => {
      for (const name of Object.keys(numbers)) process.off(name as NodeJS.Signals, onSignal);
    },
  };
}
