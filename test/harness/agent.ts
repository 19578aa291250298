/**
 * A real agent as a child process: its own state directory, control socket, instance name and cgroup, so that
 * several live side by side on one host. It runs what ships (services/agent/dist).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LocalDetections, type Status } from "@picket/shared/control-socket";
import type { Detection } from "@picket/shared/detection";

/** What ships. */
export const AGENT_MAIN = fileURLToPath(new URL("../../services/agent/dist/main.js", import.meta.url));

export type AgentOptions = {
  /** Absolute cgroup2 directory where the programs attach. */
  cgroup: string;
  /** Rule set YAML of an agent that is not enrolled. */
  rules?: string;
  env?: Record<string, string>;
  /** Reuse the state of an earlier agent of this name. */
  state?: string;
  instance?: string;
};

export type Agent = {
  readonly process: ChildProcess;
  readonly state: string;
  readonly instance: string;
  readonly log: () => string;
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  status(): Promise<Status>;
  /** Enforces for everything below a cgroup2 directory. */
  guard(cgroup: string, options?: { fionread: "kept" | "unused" }): Promise<void>;
  writeRules(yaml: string): void;
  /** Waits for a detection that fits, among all that the agent keeps in memory. */
  detection(fits: (detection: Detection) => boolean, why: string): Promise<Detection>;
  detections(): Promise<Detection[]>;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
  kill(): Promise<void>;
};

/** Loading the programs takes the verifier seconds of a core, and a busy machine has none to spare. */
const START_MS = 120_000;
let counter = 0;

export async function startAgent(options: AgentOptions): Promise<Agent> {
  const instance = options.instance ?? `test-${process.pid}-${++counter}`;
  const state = options.state ?? mkdtempSync(join(tmpdir(), "picket-agent-"));
  const socketPath = join(state, "agent.sock");
  const rulesDirectory = join(state, "rules");
  mkdirSync(rulesDirectory, { recursive: true });
  const writeRules = (yaml: string) => writeFileSync(join(rulesDirectory, "rules.yaml"), yaml);
  if (options.rules !== undefined) writeRules(options.rules);

  const child = spawn(process.execPath, [AGENT_MAIN], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PICKET_STATE: state,
      PICKET_SOCKET: socketPath,
      PICKET_METRICS: "127.0.0.1:0",
      PICKET_CGROUP: options.cgroup,
      PICKET_INSTANCE: instance,
      ...(options.rules === undefined ? {} : { PICKET_RULES: rulesDirectory }),
      ...options.env,
    },
  });
  let log = "";
  child.stdout!.on("data", chunk => {
    log += chunk;
  });
  child.stderr!.on("data", chunk => {
    log += chunk;
  });

  const call = <T>(method: string, path: string, body?: unknown) =>
    callUnix<T>(socketPath, method, path, body);
  const detections = async () =>
    LocalDetections.parse(await call("GET", "/v1/detections?after=0&wait=0")).items.map(
      item => item.detection,
    );
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  const agent: Agent = {
    process: child,
    state,
    instance,
    log: () => log,
    call,
    status: () => call<Status>("GET", "/v1/status"),
    guard: async (cgroup, options) => {
      await call("PUT", "/v1/workloads", {
        selector: { kind: "cgroup", path: cgroup },
        mode: "enforce",
        ...options,
      });
    },
    writeRules,
    detections,
    detection: (fits, why) => eventually(async () => (await detections()).find(fits), why),
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };

  await eventually(
    async () => {
      if (child.exitCode !== null) throw new Error(`the agent ended with code ${child.exitCode}:\n${log}`);
      return agent.status().catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ECONNREFUSED") return undefined;
        throw error;
      });
    },
    "the agent answers on its control socket",
    START_MS,
  )
    .then(async () => {
      if (options.rules === undefined) return;
      await eventually(
        async () => (await agent.status()).report.installed.some(one => one.kind === "active") || undefined,
        "the agent has installed the rules of its directory",
        START_MS,
      );
    })
    .catch(async error => {
      await end("SIGKILL");
      throw new Error(`${(error as Error).message}\n${log}`);
    });
  return agent;
}

/** Removes what a test's agent kept on disk, and what it left for connections that were open when it ended. */
export function forget(agent: Agent): void {
  rmSync(agent.state, { recursive: true, force: true });
  rmSync(`/sys/fs/bpf/picket-${agent.instance}`, { recursive: true, force: true });
  rmSync(`/run/picket/agents/${agent.instance}.json`, { force: true });
}

/** Polls until there is a value; the bound only ends a test that would hang. */
export async function eventually<T>(
  poll: () => Promise<T | undefined> | T | undefined,
  why: string,
  boundMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + boundMs;
  for (;;) {
    const value = await poll();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`waited ${boundMs} ms in vain: ${why}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

function callUnix<T>(socketPath: string, method: string, path: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = request(
      // A connection of its own: a kept one may be closed by the agent in the moment of its next use.
      {
        socketPath,
        agent: false,
        method,
        path,
        headers: body === undefined ? {} : { "content-type": "application/json" },
      },
      async response => {
        let text = "";
        for await (const chunk of response) text += chunk;
        const status = response.statusCode ?? 0;
        if (status >= 400) return reject(new Error(`${method} ${path} answered ${status}: ${text}`));
        resolve((text === "" ? undefined : JSON.parse(text)) as T);
      },
    );
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
