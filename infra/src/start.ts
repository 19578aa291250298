import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { parseArgs } from "node:util";
import { createScreen, type Screen } from "../bootstrap/screen.mjs";
import { claim } from "./claim.ts";
import { freePort, isFree } from "./ports.ts";
import { InfraError, signalQuietly } from "./process.ts";
import { apiAt } from "./start/api.ts";
import { chooseSocket } from "./start/control-socket.ts";
import { clear, type Home, openHome } from "./start/home.ts";
import { offerLogin } from "./start/login.ts";
import { ordinaryStory } from "./start/ordinary.ts";
import { picketCommand } from "./start/picket.ts";
import {
  type Addresses,
  agentService,
  consoleUrl,
  controlPlaneService,
  type Plan,
  postgresService,
  redisService,
} from "./start/services.ts";
import type { Scene, Story } from "./start/story.ts";
import { supervise } from "./supervisor.ts";

// `npm start`: PostgreSQL, Redis, the control plane and one agent on this host, until Ctrl-C.

const CONSOLE_PORT = 7400;
const SECOND_SIGNAL_AFTER_MS = 1_000;

/** Resolves to the exit code when everything has stopped again. */
export async function start({ argv }: { argv: string[] }): Promise<number> {
  const screen = createScreen();
  const signals = listenForSignals();
  let held: { release(): void } | undefined;
  try {
    const { demo, port, host } = readArguments(argv);
    prepareHost();
    const home = openHome({ demo, env: process.env });
    held = claim(home.dir);
    if (demo) clear(home);
    const story = demo ? await loadDemo(home) : ordinaryStory(home);
    const plan = await makePlan({ home, story, port, host, screen });
    return await run({ plan, story, screen, signals });
  } catch (error) {
    if (signals.signal.aborted) return signals.exitCode(); // What a Ctrl-C interrupts may fail in any way.
    if (!(error instanceof InfraError)) throw error;
    console.error(error.message);
    return 1;
  } finally {
    signals.forget();
    held?.release();
  }
}

type Running = { plan: Plan; story: Story; screen: Screen; signals: Signals };

async function run({ plan, story, screen, signals }: Running): Promise<number> {
  const addresses: Addresses = { database: "", redis: "" };
  const isRoot = process.getuid?.() === 0;
  const url = consoleUrl(plan);
  const { bootstrapToken: token, dir } = plan.home;
  const scene: Scene = {
    screen,
    home: plan.home,
    picket: picketCommand({ url, token, socket: plan.agent.socket, dir, screen }),
    api: apiAt(url, token),
    socket: isRoot ? plan.agent.socket : undefined,
    signal: signals.signal,
  };
  const before = [
    ...story.before,
    postgresService(plan, addresses),
    redisService(plan, addresses),
    controlPlaneService(plan, addresses),
  ];
  const after = [...(isRoot ? [agentService(plan)] : []), ...story.after];
  const supervised = await supervise({ services: before, screen, signal: signals.signal });
  const offered = isRoot ? offerLogin({ url, token }) : undefined;
  try {
    await story.beforeAgent(scene);
    await supervised.add(after);
    // A story that is interrupted or that a failure overtakes is left as it is.
    const told = story.tell(scene).then(() => signals.arrived);
    const reason = await Promise.race([supervised.failed, signals.arrived, told]);
    if (reason === undefined) return signals.exitCode();
    screen.warn(reason);
    return 1;
  } finally {
    offered?.withdraw();
    await screen.step("Stopping", () => supervised.stop());
  }
}

/** The demo is a package of its own that needs this one, so it is found when it is asked for. */
async function loadDemo(home: Home): Promise<Story> {
  if (process.getuid?.() !== 0)
    throw new InfraError("needs-root", "The demo loads programs into the kernel: sudo npm start -- --demo");
  const entry = new URL("../demo/dist/story.js", import.meta.url).href;
  const { demoStory } = (await import(entry)) as { demoStory(home: Home): Promise<Story> };
  return demoStory(home);
}

function readArguments(argv: string[]): { demo: boolean; port: string | undefined; host: string } {
  try {
    const options = {
      demo: { type: "boolean", default: false },
      port: { type: "string" },
      host: { type: "string", default: "127.0.0.1" },
    } as const;
    const { values } = parseArgs({ args: argv, options });
    if (isIP(values.host) !== 4) throw new Error(`--host wants an IPv4 address, not ${values.host}`);
    return { demo: values.demo, port: values.port, host: values.host };
  } catch (error) {
    throw new InfraError(
      "usage",
      `${(error as Error).message}\nUsage: npm start -- [--demo] [--port <n>] [--host <address>] [--yes]`,
    );
  }
}

async function makePlan(options: {
  home: Home;
  story: Story;
  port: string | undefined;
  host: string;
  screen: Screen;
}): Promise<Plan> {
  const { home, story, port, host, screen } = options;
  return {
    home,
    host,
    ports: { console: await choosePort({ wanted: port, screen }), agentMetrics: await freePort() },
    agent: { ...story.agent, socket: await chooseSocket(story.agent.instance) },
    databaseUrl: process.env.DATABASE_URL,
    redisUrl: process.env.REDIS_URL,
    controlPlaneEnv: story.controlPlaneEnv,
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
  let firstAt = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    if (number !== 0) {
      // One Ctrl-C can arrive twice: from the terminal, and passed on by whoever started us.
      if (performance.now() - firstAt < SECOND_SIGNAL_AFTER_MS) return;
      signalQuietly(process.pid, "SIGKILL"); // The kernel ends the children (death signal).
    }
    firstAt = performance.now();
    number = numbers[name as keyof typeof numbers];
    abort.abort();
    arrive();
  };
  for (const name of Object.keys(numbers)) process.on(name as NodeJS.Signals, onSignal);
  const orphaned = watchForNpm(() => onSignal("SIGTERM"));
  return {
    signal: abort.signal,
    arrived,
    exitCode: () => (number === 2 ? 0 : 128 + number),
    forget: () => {
      clearInterval(orphaned);
      for (const name of Object.keys(numbers)) process.off(name as NodeJS.Signals, onSignal);
    },
  };
}

/** npm passes a SIGTERM on to its shell only, which dies and leaves us behind: then we stop, too. */
function watchForNpm(stop: () => void): NodeJS.Timeout | undefined {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const shell = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(timer);
    stop();
  }, 500);
  return timer.unref();
}
