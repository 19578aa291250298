/** Processes as /proc shows them. A process may be gone between two reads: every reader takes that for an answer. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export type ProcessInfo = { pid: number; comm: string; executable?: string; cgroup?: string };

const read = (path: string): string | null => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
};

export function pids(): number[] {
  return readdirSync("/proc")
    .filter(name => /^\d+$/.test(name))
    .map(Number);
}

export function comm(pid: number): string | null {
  return read(`/proc/${pid}/comm`)?.trimEnd() ?? null;
}

export function describeProcess(pid: number, fallbackComm = "?"): ProcessInfo {
  let executable: string | undefined;
  try {
    executable = readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // A kernel thread, or gone.
  }
  const cgroup = cgroupOf(pid);
  return {
    pid,
    comm: comm(pid) ?? fallbackComm,
    ...(executable ? { executable } : {}),
    ...(cgroup ? { cgroup } : {}),
  };
}

/** The cgroup2 path, or that of the named v1 hierarchy where cgroup2 only says "/" (hybrid hosts). */
export function cgroupOf(pid: number): string | null {
  const text = read(`/proc/${pid}/cgroup`);
  if (text === null) return null;
  let unified: string | null = null;
  let named: string | null = null;
  for (const line of text.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === "") unified = path ?? null;
    else if (controllers?.startsWith("name=")) named = path ?? null;
  }
  return unified && unified !== "/" ? unified : (named ?? unified);
}

/** Parent and start time (clock ticks since boot): together with the pid they name a process for good. */
export function parentAndStart(pid: number): { parent: number; startTicks: number } | null {
  const text = read(`/proc/${pid}/stat`);
  if (text === null) return null;
  // comm may hold anything, ")" too: the fields begin after the last one (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { parent: Number(fields[1]), startTicks: Number(fields[19]) };
}

/** The given processes that still live, with all their descendants. */
export function descendants(roots: ReadonlySet<number>): Set<number> {
  const children = new Map<number, number[]>();
  const alive = new Set<number>();
  for (const pid of pids()) {
    const about = parentAndStart(pid);
    if (!about) continue;
    alive.add(pid);
    const siblings = children.get(about.parent);
    if (siblings) siblings.push(pid);
    else children.set(about.parent, [pid]);
  }
  const found = new Set<number>();
  const open = [...roots].filter(pid => alive.has(pid));
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    if (found.has(pid)) continue;
    found.add(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** Which process holds which socket, by inode; reads every descriptor of the host, so only at start and on demand. */
export function socketOwners(wanted?: ReadonlySet<number>): Map<number, number> {
  const owners = new Map<number, number>();
  for (const pid of pids()) {
    if (wanted && owners.size === wanted.size) break;
    for (const inode of socketInodes(pid)) if (!wanted || wanted.has(inode)) owners.set(inode, pid);
  }
  return owners;
}

export function socketInodes(pid: number): number[] {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).flatMap(name => {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${directory}/${name}`))?.[1];
        return inode ? [Number(inode)] : [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

export function otherNetworkNamespaces(): number {
  const found = new Set<string>();
  for (const pid of pids()) {
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // Gone, or a kernel thread.
    }
  }
  found.delete(readlinkSync("/proc/self/ns/net"));
  return found.size;
}
