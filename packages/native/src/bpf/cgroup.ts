import { readFileSync, statSync } from "node:fs";
import { BpfError } from "./errors.ts";

/*
 * cgroup2 by mount and by id. On a host with v1 controllers cgroup2 is mounted beside them, often at
 * /sys/fs/cgroup/unified, so the mount is looked up and never assumed.
 */

/** The kernel's id of a cgroup2 directory, as bpf_get_current_cgroup_id gives it: its inode number. */
export function cgroupId(path: string): bigint {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch (cause) {
    throw new BpfError(`there is no cgroup ${path}`, {
      code: "BPF_NOT_FOUND",
      step: "cgroup",
      errno: (cause as NodeJS.ErrnoException).code ?? "ENOENT",
    });
  }
}

/** Where cgroup2 is mounted; throws when it is not. */
export function cgroup2Mount(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): string {
  const mount = findCgroup2Mount(mountinfo);
  if (mount === undefined)
    throw new BpfError("cgroup2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified", {
      code: "BPF_NOT_FOUND",
      step: "cgroup",
    });
  return mount;
}

/** proc(5): "36 35 98:0 /root /mount options - type source options". The mount of the whole tree wins. */
export function findCgroup2Mount(mountinfo: string): string | undefined {
  const mounts = mountinfo.split("\n").flatMap(line => {
    const [left, right] = line.split(" - ");
    const [, , , root, mount] = left?.split(" ") ?? [];
    if (right?.split(" ")[0] !== "cgroup2" || root === undefined || mount === undefined) return [];
    return [{ root, mount: withBlanks(mount) }];
  });
  return (mounts.find(({ root }) => root === "/") ?? mounts[0])?.mount;
}

/** Blanks in a path are written as octal. */
function withBlanks(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
