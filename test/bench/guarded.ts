/** What the benchmarks share: a guarded cgroup with an agent on it, the load program, and medians. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Agent, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, inCgroup, makeCgroup } from "../harness/index.ts";

export const RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: bench
spec: {}
`;

export type Load = {
  sent: number;
  seconds: number;
  userSeconds: number;
  systemSeconds: number;
  p50Ns: number;
  p99Ns: number;
};

let binary: string | undefined;

/** Statements from inside a cgroup to a sink on loopback; `perSecond` 0 is as fast as it goes. */
export async function load(
  cgroup: Cgroup | null,
  {
    perSecond,
    seconds,
    connections,
    bytes,
    dense = false,
  }: { perSecond: number; seconds: number; connections: number; bytes: number; dense?: boolean },
): Promise<Load> {
  if (!binary) {
    binary = join(mkdtempSync(join(tmpdir(), "picket-load-")), "load");
    execFileSync("gcc", [
      "-O2",
      "-pthread",
      "-o",
      binary,
      fileURLToPath(new URL("./load.c", import.meta.url)),
    ]);
  }
  const command = [binary, perSecond, seconds, connections, bytes, ...(dense ? ["dense"] : [])].map(String);
  return JSON.parse(await output(cgroup, command)) as Load;
}

/** Standard output of a command, inside the cgroup or outside of any guarded one. */
export async function output(
  cgroup: Cgroup | null,
  command: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const options = {
    stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  };
  const child = cgroup
    ? inCgroup(cgroup.path, command, options)
    : spawn(command[0]!, command.slice(1), options);
  let out = "";
  let errors = "";
  child.stdout!.on("data", chunk => {
    out += chunk;
  });
  child.stderr!.on("data", chunk => {
    errors += chunk;
  });
  const code = await new Promise(resolve => child.on("close", resolve));
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${errors}${out}`);
  return out;
}

/** Runs `body` with an agent on a cgroup of its own, and leaves nothing behind. */
export async function guarded<T>(
  { enforce, rules = RULES, env = {} }: { enforce: boolean; rules?: string; env?: Record<string, string> },
  body: (agent: Agent, cgroup: Cgroup) => Promise<T>,
): Promise<T> {
  const cgroup = makeCgroup(`picket-bench-${process.pid}`);
  try {
    const agent = await startAgent({ cgroup: cgroup.path, rules, env });
    try {
      if (enforce) await agent.guard(cgroup.path);
      return await body(agent, cgroup);
    } finally {
      await agent.stop();
      forget(agent);
    }
  } finally {
    await cgroup.remove();
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A row of the printed table: what, measured, target, and whether it is met. */
export function row(what: string, measured: string, target = "", met?: boolean): void {
  const mark = met === undefined ? "" : met ? "met" : "NOT met";
  console.log(`${what.padEnd(58)} ${measured.padStart(18)}  ${target.padEnd(16)} ${mark}`.trimEnd());
}
