/** Who sent a statement, for a detection: read from /proc once per process, since it may be gone the next moment. */
import type { Process } from "@picket/shared/detection";
import type { KernelProcess } from "../capture/kernel-event.ts";
import { describeProcess } from "../host/processes.ts";

const KEPT = 1_024;

export class Processes {
  readonly #known = new Map<string, { executable?: string; cgroup?: string }>();

  describe(process: KernelProcess, workload: string | undefined): Process {
    // A pid is used again; with its start time it is one process.
    const key = `${process.pid}:${process.startNs}`;
    let about = this.#known.get(key);
    if (!about) {
      const { executable, cgroup } = describeProcess(process.pid);
      about = { ...(executable ? { executable } : {}), ...(cgroup ? { cgroup } : {}) };
      const oldest = this.#known.size >= KEPT ? this.#known.keys().next() : null;
      if (oldest && !oldest.done) this.#known.delete(oldest.value);
      this.#known.set(key, about);
    }
    return { pid: process.pid, comm: process.comm, ...about, ...(workload ? { workload } : {}) };
  }
}
