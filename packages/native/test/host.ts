import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";

/*
 * What kernel tests need of the host: the BPF and tracing file systems, and a cgroup of their own.
 */

function mounted(type: string): string | undefined {
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, path, kind] = line.split(" ");
    if (kind === type) return path;
  }
  return undefined;
}

export function bpfFileSystem(): string {
  return mounted("bpf") ?? mount("bpf", "/sys/fs/bpf");
}

export function tracingFileSystem(): string {
  return mounted("tracefs") ?? mount("tracefs", "/sys/kernel/tracing");
}

function mount(type: string, path: string): string {
  execFileSync("mount", ["-t", type, type, path]);
  return path;
}

/** A cgroup of its own for client processes, never the root. */
export function testCgroup(name: string): { path: string; add(pid: number): void; remove(): void } {
  const root = mounted("cgroup2");
  if (root === undefined) throw new Error("these tests need a mounted cgroup2");
  const path = `${root}/picket-test-${name}-${process.pid}`;
  mkdirSync(path, { recursive: true });
  return {
    path,
    add: pid => writeFileSync(`${path}/cgroup.procs`, String(pid)),
    remove() {
      // Whoever is still inside goes back to the root, or the directory stays busy.
      for (const pid of readFileSync(`${path}/cgroup.procs`, "utf8").split("\n").filter(Boolean)) {
        try {
          writeFileSync(`${root}/cgroup.procs`, pid);
        } catch {}
      }
      rmdirSync(path);
    },
  };
}
