import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "./process.ts";

// cgroup2 directories for the processes that Picket is to guard. On hosts whose controllers are still
// version 1, cgroup2 is a bare hierarchy somewhere else, so its mount is looked up, never assumed.

export type Cgroup = {
  path: string;
  /** What the kernel calls bpf_get_current_cgroup_id(): the directory's inode. */
  id: bigint;
  /** Kills what still runs inside and removes the directory and those below it. */
  remove(): Promise<void>;
};

export function cgroup2Mount(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): string {
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    if (after?.split(" ")[0] !== "cgroup2") continue;
    const point = before!.split(" ")[4]!;
    return point.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
  }
  throw new InfraError(
    "no-cgroup2",
    "No cgroup2 file system is mounted. As root: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
  );
}

export function makeCgroup(name: string): Cgroup {
  const path = join(cgroup2Mount(), name);
  mkdirSync(path);
  return {
    path,
    id: statSync(path, { bigint: true }).ino,
    remove: () => removeCgroup(path),
  };
}

export async function removeCgroup(path: string): Promise<void> {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return;
  writeFileSync(join(path, "cgroup.kill"), "1"); // Everything below dies too (Linux 5.14).
  for (let attempt = 1; ; attempt++) {
    try {
      removeTree(path);
      return;
    } catch (error) {
      // Killed processes leave a cgroup a moment after they died.
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || attempt === 200) throw error;
      await new Promise(resolve => setTimeout(resolve, 25));
    }
  }
}

function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  }
  rmdirSync(path);
}

/** Starts a command that is a member of the cgroup before its program runs its first instruction. */
export function inCgroup(
  cgroupPath: string,
  command: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  return spawn("sh", ["-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroupPath, ...command], options);
}
