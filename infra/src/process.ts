import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { userInfo } from "node:os";

// A child process that never outlives us. Each child leads a process group of its own, so that a
// Ctrl-C in the terminal reaches only the supervisor, which then stops its children in order. If the
// supervisor itself is killed (-9), the kernel delivers `deathSignal` to the child (setpriv).

export type Account = { name: string; uid: number; gid: number };

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type Launch = {
  name: string;
  command: string;
  args?: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Runs as this account; only root can change it. */
  account?: Account | undefined;
  /** cgroup2 directory that the child enters before its program starts. */
  cgroup?: string | undefined;
  /** Standard output and error are appended to this file; else they are dropped. */
  logFile?: string;
  stopSignal?: NodeJS.Signals;
};

export type Child = {
  name: string;
  pid: number;
  exited: Promise<Exit>;
  /** undefined while the process runs. */
  exit(): Exit | undefined;
  /** Asks with the stop signal, then kills the whole group at the deadline. Safe to call twice. */
  stop(options?: { timeoutMs?: number }): Promise<Exit>;
};

export class InfraError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "InfraError";
    this.code = code;
  }
}

export function launch(options: Launch): Child {
  const stopSignal = options.stopSignal ?? "SIGTERM";
  const argv = wrap(options, stopSignal);
  const log = options.logFile === undefined ? "ignore" : openSync(options.logFile, "a", 0o600);
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", log, log],
    detached: true,
  });
  if (typeof log === "number") closeSync(log);
  return follow(options.name, child, stopSignal);
}

/** The command line: enter the cgroup, change the account, ask for the death signal, exec. */
function wrap({ account, cgroup, command, args = [] }: Launch, deathSignal: NodeJS.Signals): string[] {
  const become =
    account === undefined || account.uid === userInfo().uid
      ? []
      : [`--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups"];
  const inner = [
    "setpriv",
    `--pdeathsig=${deathSignal.replace(/^SIG/, "")}`,
    ...become,
    "--",
    command,
    ...args,
  ];
  if (cgroup === undefined) return inner;
  return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup, ...inner];
}

function follow(name: string, child: ChildProcess, stopSignal: NodeJS.Signals): Child {
  let ended: Exit | undefined;
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", error => reject(new InfraError("spawn-failed", `${name}: ${error.message}`)));
    child.once("exit", (code, signal) => {
      ended = { code, signal };
      resolve(ended);
    });
  });
  exited.catch(() => undefined); // A caller that only calls stop() must not crash on it.
  const pid = child.pid ?? -1;
  return {
    name,
    pid,
    exited,
    exit: () => ended,
    async stop({ timeoutMs = 10_000 } = {}) {
      if (pid === -1) return exited;
      if (ended === undefined) signalQuietly(pid, stopSignal);
      const deadline = setTimeout(() => signalQuietly(-pid, "SIGKILL"), timeoutMs);
      const exit = await exited.finally(() => clearTimeout(deadline));
      signalQuietly(-pid, "SIGKILL"); // What the group's leader left behind.
      return exit;
    },
  };
}

export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Already gone: that is what was wanted.
  }
}

export type Readiness = {
  child: Child;
  logFile?: string;
  timeoutMs?: number;
  /** Aborted: the child is stopped and the call fails. */
  signal?: AbortSignal;
  ready: () => boolean | Promise<boolean>;
};

/** Polls until ready; a child that exits first is an error that quotes the end of its log. */
export async function untilReady({
  child,
  logFile,
  timeoutMs = 60_000,
  signal,
  ready,
}: Readiness): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await ready()) return;
    const exit = child.exit();
    if (exit !== undefined) {
      throw new InfraError(
        "exited",
        `${child.name} exited (${exit.signal ?? `code ${exit.code}`}) before it was ready${tail(logFile)}`,
      );
    }
    if (signal?.aborted) {
      await child.stop();
      throw new InfraError("aborted", `${child.name} was stopped while it started`);
    }
    if (performance.now() > deadline) {
      await child.stop();
      throw new InfraError(
        "not-ready",
        `${child.name} was not ready after ${timeoutMs / 1000} s${tail(logFile)}`,
      );
    }
    await new Promise(resolve => setTimeout(resolve, 15));
  }
}

function tail(logFile: string | undefined, bytesMax = 2_000): string {
  if (logFile === undefined) return "";
  try {
    const size = statSync(logFile).size;
    const buffer = Buffer.alloc(Math.min(size, bytesMax));
    const file = openSync(logFile, "r");
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    closeSync(file);
    return `; the end of ${logFile}:\n${buffer.toString("utf8").trimEnd()}`;
  } catch {
    return "";
  }
}

/** A process is this one only while its start time (clock ticks since boot) is the same too;
 *  undefined: there is no such process, or it is dead and only waits for its parent. */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command in brackets may hold spaces and brackets itself; the state follows the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
