/** The test process itself becomes a guarded application for a while: its new sockets are the workload's. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroup2Mount } from "./index.ts";

/** Moves this process into a cgroup2 directory; the function returned moves it back. */
export function joinCgroup(path: string): () => void {
  const before = readFileSync("/proc/self/cgroup", "utf8")
    .split("\n")
    .find(line => line.startsWith("0::"))!
    .slice("0::".length);
  writeFileSync(join(path, "cgroup.procs"), String(process.pid));
  return () => writeFileSync(join(cgroup2Mount(), before, "cgroup.procs"), String(process.pid));
}
