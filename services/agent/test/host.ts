/** An agent of this test's own on the real kernel: own cgroup, state, socket, pins. In this process, from source. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCgroup } from "@picket/infra/cgroup";
import { LocalDetections, type Status } from "@picket/shared/control-socket";
import type { Detection, StatementDetection } from "@picket/shared/detection";
import { type Agent, startAgent } from "../src/agent.ts";
import { readConfig } from "../src/config.ts";
import { silentLog } from "../src/log.ts";

let counter = 0;

export function makeHost() {
  const instance = `test-${process.pid}-${++counter}`;
  const cgroup = makeCgroup(`picket-test-${instance}`);
  const state = mkdtempSync(join(tmpdir(), "picket-agent-"));
  const rules = join(state, "rules");
  mkdirSync(rules);
  const socket = join(state, "agent.sock");
  let agent: Agent | undefined;
  const logged: string[] = [];
  const log = {
    ...silentLog,
    error: (...said: unknown[]) => void logged.push(JSON.stringify(said)),
    warn: (...said: unknown[]) => void logged.push(JSON.stringify(said)),
  } as typeof silentLog;

  const host = {
    instance,
    cgroup,
    state,
    pins: `/sys/fs/bpf/picket-${instance}`,
    logged,
    writeRules: (text: string) => writeFileSync(join(rules, "rules.yaml"), text),
    async start(env: Record<string, string> = {}) {
      const config = readConfig({
        PICKET_STATE: state,
        PICKET_SOCKET: socket,
        PICKET_METRICS: "off",
        PICKET_CGROUP: cgroup.path,
        PICKET_INSTANCE: instance,
        PICKET_RULES: rules,
        ...env,
      });
      agent = await startAgent(config, log);
    },
    async stop() {
      await agent?.stop();
      agent = undefined;
    },
    call,
    status: () => call<Status>("GET", "/v1/status"),
    guard: (mode: "enforce" | "observe" | "off" = "enforce") =>
      call("PUT", "/v1/workloads", { selector: { kind: "cgroup", path: cgroup.path }, mode }),
    async detections(): Promise<Detection[]> {
      const { items } = LocalDetections.parse(await call("GET", "/v1/detections"));
      return items.map(({ detection }) => detection);
    },
    async statements(): Promise<StatementDetection[]> {
      return (await host.detections()).filter(detection => detection.kind === "statement");
    },
    async end() {
      await host.stop();
      await cgroup.remove();
      rmSync(state, { recursive: true, force: true });
    },
  };
  return host;

  function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath: socket, method, path }, async answer => {
        let text = "";
        for await (const chunk of answer) text += chunk;
        if (answer.statusCode! >= 400) reject(new Error(text));
        else resolve((text ? JSON.parse(text) : undefined) as T);
      });
      outgoing.on("error", reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

export async function eventually<T>(poll: () => Promise<T | undefined | false>, why: string): Promise<T> {
  const endsMs = performance.now() + 20_000;
  for (;;) {
    const value = await poll();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endsMs) throw new Error(`waited in vain: ${why}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** Ids of the BPF programs, maps and links that a process holds, from its descriptors. */
export function held(pid = process.pid): Set<string> {
  return new Set(
    readdirSync(`/proc/${pid}/fdinfo`).flatMap(fd => {
      try {
        const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
        return [...info.matchAll(/^(prog|map|link)_id:\s*(\d+)$/gm)].map(([, kind, id]) => `${kind} ${id}`);
      } catch {
        return []; // Closed since the listing.
      }
    }),
  );
}

/** The kernel frees what nobody holds in its own time (RCU): soon, not at once. */
export async function areGone(objects: ReadonlySet<string>): Promise<void> {
  await eventually(async () => {
    const left = loaded();
    return [...objects].every(each => !left.has(each));
  }, "programs, maps and links are gone");
}

function loaded(): Set<string> {
  return new Set(
    (["prog", "map", "link"] as const).flatMap(kind =>
      (
        JSON.parse(execFileSync("bpftool", ["-j", kind, "list"], { encoding: "utf8" })) as { id: number }[]
      ).map(({ id }) => `${kind} ${id}`),
    ),
  );
}
