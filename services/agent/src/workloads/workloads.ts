/**
 * Which processes are watched and which are guarded. The kernel decides by two maps, cgroup ids (a process belongs
 * to its nearest listed ancestor) and process ids (which win); this class keeps them in step with what was asked:
 * a unit is followed over restarts, a process with the descendants it has by now. It survives a restart of the
 * agent, and never lists the agent's own process.
 */
import { join, relative } from "node:path";
import { type Workload, WorkloadRequest, type WorkloadSelector } from "@picket/shared/control-socket";
import type { WorkloadMode } from "@picket/shared/vocabulary";
import { z } from "zod";
import type { Chosen } from "../capture/modes.ts";
import { cgroupId, findCgroups, mountPoint, processesIn } from "../host/cgroups.ts";
import { comm, descendants, parentAndStart } from "../host/processes.ts";
import { Refused } from "../refusal.ts";
import { readJson, writeDurably } from "../state/durable.ts";

/** The kernel's two maps. */
export type WorkloadMaps = {
  setCgroup(cgroup: bigint, workload: Chosen): void;
  deleteCgroup(cgroup: bigint): void;
  setProcess(tgid: number, workload: Chosen): void;
  deleteProcess(tgid: number): void;
};

const Saved = z.array(
  WorkloadRequest.extend({
    id: z.int(),
    name: z.string(),
    /** Of a process: so that a reused pid is not taken for it. */
    startTicks: z.number().optional(),
  }),
);
type Saved = z.infer<typeof Saved>[number];

const DEFAULT_ID = 1;
const WORKLOADS_MAX = 256;

export class Workloads {
  readonly #path: string;
  readonly #mount: string;
  readonly #attached: string;
  readonly #maps: WorkloadMaps;
  #workloads = new Map<number, Saved>();
  /** Processes of Picket itself: never watched. */
  readonly #own = new Set([process.pid]);
  #held: (workload: Workload) => boolean = () => true;
  readonly #cgroups = new Map<bigint, Chosen>();
  readonly #processes = new Map<number, Chosen>();
  /** Processes of a pid workload seen so far: a child outlives the parent it was found by. */
  readonly #families = new Map<number, Set<number>>();

  constructor(input: {
    stateDirectory: string;
    cgroup2Mount: string;
    attachedCgroup: string;
    maps: WorkloadMaps;
  }) {
    this.#path = join(input.stateDirectory, "workloads.json");
    this.#mount = input.cgroup2Mount;
    this.#attached = input.attachedCgroup;
    this.#maps = input.maps;
    for (const saved of readJson(this.#path, Saved) ?? []) this.#workloads.set(saved.id, saved);
    const chosen = this.#workloads.get(DEFAULT_ID);
    const selector = { kind: "cgroup" as const, path: input.attachedCgroup };
    this.#workloads.set(DEFAULT_ID, {
      id: DEFAULT_ID,
      name: "default",
      selector,
      mode: chosen?.mode ?? "observe",
      labels: {},
      fionread: chosen?.fionread ?? "kept",
    });
    this.refresh();
  }

  list(): Workload[] {
    return [...this.#workloads.values()].map(({ id, name, selector, mode, labels, fionread }) => ({
      id,
      name,
      selector,
      mode,
      labels,
      fionread,
    }));
  }

  get(id: number): Workload | undefined {
    return this.#workloads.get(id);
  }

  /** The mode of a process' connection, as the kernel would find it by workload id. */
  modeOf(id: number): WorkloadMode | undefined {
    return this.#workloads.get(id)?.mode;
  }

  /** The workload of a process that was chosen by its id; others belong to a cgroup's. */
  ofProcess(pid: number): Chosen | undefined {
    return this.#processes.get(pid);
  }

  put(request: WorkloadRequest): Workload {
    const selector = this.#check(request.selector);
    const known = [...this.#workloads.values()].find(({ selector: other }) => sameSelector(selector, other));
    if (!known && this.#workloads.size >= WORKLOADS_MAX)
      throw new Refused("too-many", `there are ${WORKLOADS_MAX} workloads already; delete one first`);
    const id = known?.id ?? Math.max(...this.#workloads.keys()) + 1;
    const startTicks = selector.kind === "pid" ? parentAndStart(selector.pid)?.startTicks : undefined;
    const workload: Saved = {
      id,
      name: id === DEFAULT_ID ? "default" : nameOf(selector),
      selector,
      mode: request.mode,
      labels: request.labels,
      fionread: request.fionread,
      ...(startTicks === undefined ? {} : { startTicks }),
    };
    this.#workloads.set(id, workload);
    this.#save();
    this.refresh();
    return workload;
  }

  delete(id: number): void {
    if (id === DEFAULT_ID)
      throw new Refused("conflict", "the default workload cannot be deleted; set its mode to off instead");
    if (!this.#workloads.delete(id)) throw new Refused("not-found", `there is no workload ${id}`);
    this.#families.delete(id);
    this.#save();
    this.refresh();
  }

  /**
   * Brings the kernel's maps in step: after a change, and on a timer for what comes and goes by itself. True when
   * something changed, so that open connections have to be looked at again.
   */
  refresh(): boolean {
    const cgroups = new Map<bigint, Chosen>();
    // Never itself: the prober's connections and the uploads are not an application's.
    const processes = new Map<number, Chosen>(
      [...this.#own].map(pid => [pid, { id: 0, mode: "off", fionread: "kept" }]),
    );
    for (const workload of this.#workloads.values()) {
      const { id, fionread } = workload;
      const mode = workload.mode === "enforce" && !this.#held(workload) ? "enforce-known" : workload.mode;
      const entry: Chosen = { id, mode, fionread };
      for (const cgroup of this.#cgroupsOf(workload)) cgroups.set(cgroup, entry);
      for (const pid of this.#processesOf(workload)) if (!this.#own.has(pid)) processes.set(pid, entry);
    }
    const { setCgroup, deleteCgroup, setProcess, deleteProcess } = this.#maps;
    const moved = sync(this.#cgroups, cgroups, setCgroup, deleteCgroup);
    return sync(this.#processes, processes, setProcess, deleteProcess) || moved;
  }

  /** A process of Picket itself; the one that it replaces is gone. */
  exempt(pid: number, replaced: number | null): void {
    if (replaced !== null) this.#own.delete(replaced);
    this.#own.add(pid);
    this.refresh();
  }

  /** Whose unknown statements are held while they are enforced. True when connections have to be looked at again. */
  holdBy(held: (workload: Workload) => boolean): boolean {
    this.#held = held;
    return this.refresh();
  }

  /** Whether the timer has anything to follow. */
  get moving(): boolean {
    return [...this.#workloads.values()].some(({ selector }) => selector.kind !== "cgroup");
  }

  #check(selector: WorkloadSelector): WorkloadSelector {
    switch (selector.kind) {
      case "pid":
        if (comm(selector.pid) === null)
          throw new Refused("not-found", `there is no process ${selector.pid}`);
        if (selector.pid === process.pid) throw new Refused("invalid", "the agent does not guard itself");
        return selector;
      case "unit": {
        const unit = withSuffix(selector.unit);
        if (!this.#locate(unit))
          throw new Refused("not-found", `there is no running unit ${unit} on this host`);
        return { kind: "unit", unit };
      }
      case "cgroup": {
        const path = join(
          "/",
          relative(this.#mount, join(this.#mount, stripMount(selector.path, this.#mount))),
        );
        if (cgroupId(join(this.#mount, path)) === null)
          throw new Refused("not-found", `there is no cgroup ${path} below ${this.#mount}`);
        if (this.#attached !== "/" && path !== this.#attached && !path.startsWith(`${this.#attached}/`))
          throw new Refused(
            "outside-cgroup",
            `this agent's programs are attached at ${this.#attached}; ${path} is not below it`,
          );
        return { kind: "cgroup", path };
      }
    }
  }

  #cgroupsOf({ selector }: Saved): bigint[] {
    switch (selector.kind) {
      case "pid":
        return [];
      case "cgroup":
        return present(cgroupId(join(this.#mount, selector.path)));
      case "unit": {
        const place = this.#locate(selector.unit);
        return place?.unified ? present(cgroupId(place.path)) : [];
      }
    }
  }

  #processesOf({ id, selector, startTicks }: Saved): number[] {
    switch (selector.kind) {
      case "cgroup":
        return [];
      case "unit": {
        // A host whose controllers are v1 has its units only there, and all their processes in one cgroup2.
        const place = this.#locate(selector.unit);
        return place && !place.unified ? processesIn(place.path) : [];
      }
      case "pid": {
        const family = this.#families.get(id) ?? new Set<number>();
        if (parentAndStart(selector.pid)?.startTicks === startTicks) family.add(selector.pid);
        else family.delete(selector.pid);
        const now = descendants(family);
        this.#families.set(id, now);
        return [...now];
      }
    }
  }

  #locate(unit: string): { path: string; unified: boolean } | null {
    const [unified] = findCgroups(join(this.#mount, this.#attached), unit);
    if (unified) return { path: unified, unified: true };
    const systemd = mountPoint("cgroup");
    const [named] = systemd ? findCgroups("/sys/fs/cgroup/systemd", unit) : [];
    return named ? { path: named, unified: false } : null;
  }

  #save(): void {
    writeDurably(this.#path, JSON.stringify([...this.#workloads.values()], null, 2));
  }
}

/** Whether the kernel's map had to change. */
function sync<K>(
  current: Map<K, Chosen>,
  wanted: Map<K, Chosen>,
  set: (key: K, value: Chosen) => void,
  remove: (key: K) => void,
): boolean {
  let changed = false;
  for (const [key, value] of wanted) {
    const has = current.get(key);
    if (has?.id === value.id && has.mode === value.mode && has.fionread === value.fionread) continue;
    set(key, value);
    current.set(key, value);
    changed = true;
  }
  for (const key of current.keys()) {
    if (wanted.has(key)) continue;
    remove(key);
    current.delete(key);
    changed = true;
  }
  return changed;
}

const present = <T>(value: T | null): T[] => (value === null ? [] : [value]);

function sameSelector(left: WorkloadSelector, right: WorkloadSelector): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

const withSuffix = (unit: string): string =>
  /\.(service|slice|scope|socket)$/.test(unit) ? unit : `${unit}.service`;

/** People paste paths with the mount in front. */
const stripMount = (path: string, mount: string): string =>
  path === mount || path.startsWith(`${mount}/`) ? path.slice(mount.length) || "/" : path;

function nameOf(selector: WorkloadSelector): string {
  switch (selector.kind) {
    case "unit":
      return selector.unit;
    case "cgroup":
      return selector.path;
    case "pid":
      return `${comm(selector.pid) ?? "process"}[${selector.pid}]`;
  }
}
