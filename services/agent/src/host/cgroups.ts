/** cgroup2 on this host: found from mountinfo, since hosts with v1 controllers have it somewhere else (WIRE §11). */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Null where no cgroup2 is mounted. */
export function cgroup2Mount(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): string | null {
  return mountPoint("cgroup2", mountinfo);
}

export function mountPoint(
  type: string,
  mountinfo = readFileSync("/proc/self/mountinfo", "utf8"),
): string | null {
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    if (after?.split(" ")[0] !== type) continue;
    const point = before?.split(" ")[4];
    if (point)
      return point.replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
  }
  return null;
}

/** What bpf_get_current_cgroup_id() says: the directory's inode. Null when it is not there. */
export function cgroupId(path: string): bigint | null {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? null;
}

/** Equal, or one above the other: two agents there would see the same connections. */
export function overlap(left: string, right: string): boolean {
  const within = (inner: string, outer: string) =>
    outer === "/" || inner === outer || inner.startsWith(`${outer}/`);
  return within(left, right) || within(right, left);
}

/** Directories of that name, nearest first. A unit's cgroup is named like the unit. */
export function findCgroups(root: string, name: string, depthMax = 8): string[] {
  const found: string[] = [];
  let level = [root];
  for (let depth = 0; depth < depthMax && level.length > 0; depth++) {
    const below: string[] = [];
    for (const directory of level) {
      for (const child of subdirectories(directory)) {
        const path = join(directory, child);
        if (child === name) found.push(path);
        else below.push(path);
      }
    }
    level = below;
  }
  return found;
}

function subdirectories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => entry.name);
  } catch {
    return [];
  }
}

/** Processes of a cgroup and of those below it. */
export function processesIn(path: string): number[] {
  let own: number[] = [];
  try {
    own = readFileSync(join(path, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    // Gone.
  }
  return [...own, ...subdirectories(path).flatMap(child => processesIn(join(path, child)))];
}
