import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCgroup } from "@picket/infra/cgroup";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cgroup2Mount, overlap } from "../host/cgroups.ts";
import { type KernelWorkload, Workloads } from "./workloads.ts";

let directory: string;
let cgroup: ReturnType<typeof makeCgroup>;
const children: ChildProcess[] = [];
const cgroups = new Map<bigint, KernelWorkload>();
const processes = new Map<number, KernelWorkload>();
const maps = {
  setCgroup: (id: bigint, workload: KernelWorkload) => void cgroups.set(id, workload),
  deleteCgroup: (id: bigint) => void cgroups.delete(id),
  setProcess: (id: number, workload: KernelWorkload) => void processes.set(id, workload),
  deleteProcess: (id: number) => void processes.delete(id),
};
const mount = cgroup2Mount()!;
let attached: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-workloads-"));
  cgroup = makeCgroup(`picket-test-workloads-${process.pid}`);
  attached = cgroup.path.slice(mount.length);
  cgroups.clear();
  processes.clear();
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await cgroup.remove();
  rmSync(directory, { recursive: true, force: true });
});

const open = () =>
  new Workloads({ stateDirectory: directory, cgroup2Mount: mount, attachedCgroup: attached, maps });
const family = async () => {
  const child = spawn("sh", ["-c", "sleep 60 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [line] = (await once(child.stdout!, "data")) as [Buffer];
  return { pid: child.pid!, child: Number(line.toString()) };
};

test("everything below the attached cgroup is observed until it is told to enforce; the agent itself is never", () => {
  const workloads = open();
  expect(cgroups.get(cgroup.id)).toEqual({ id: 1, mode: "observe", fionread: "kept" });
  expect(processes.get(process.pid)).toEqual({ id: 0, mode: "off", fionread: "kept" });
  const put = workloads.put({
    selector: { kind: "cgroup", path: cgroup.path },
    mode: "enforce",
    labels: {},
    fionread: "kept",
  });
  expect(put.id).toBe(1);
  expect(cgroups.get(cgroup.id)).toEqual({ id: 1, mode: "enforce", fionread: "kept" });
});

test("what was asked survives a restart of the agent", () => {
  open().put({
    selector: { kind: "cgroup", path: attached },
    mode: "enforce",
    labels: {},
    fionread: "unused",
  });
  cgroups.clear();
  open();
  expect(cgroups.get(cgroup.id)).toEqual({ id: 1, mode: "enforce", fionread: "unused" });
});

test("a process is guarded with the children that it has by now, and not after it ended", async () => {
  const { pid, child } = await family();
  const workloads = open();
  const { id } = workloads.put({
    selector: { kind: "pid", pid },
    mode: "enforce",
    labels: {},
    fionread: "kept",
  });
  expect(processes.get(pid)).toEqual({ id, mode: "enforce", fionread: "kept" });
  expect(processes.get(child)).toEqual({ id, mode: "enforce", fionread: "kept" });
  children[0]!.kill("SIGKILL");
  await once(children[0]!, "exit");
  workloads.refresh();
  // The orphan belongs to another parent now, and still to the workload.
  expect(processes.has(pid)).toBe(false);
  expect(processes.get(child)).toEqual({ id, mode: "enforce", fionread: "kept" });
  process.kill(child, "SIGKILL");
  workloads.delete(id);
  expect([...processes.keys()]).toEqual([process.pid]);
});

test.each([
  ["a process that is not there", { kind: "pid", pid: 4_194_303 }, /no process/],
  ["the agent itself", { kind: "pid", pid: process.pid }, /does not guard itself/],
  ["a cgroup that is not there", { kind: "cgroup", path: "/picket-no-such" }, /no cgroup/],
  ["a cgroup outside of where the programs are", { kind: "cgroup", path: "/" }, /attached at/],
  [
    "a unit that does not run",
    { kind: "unit", unit: "picket-no-such" },
    /no running unit picket-no-such.service/,
  ],
] as const)("%s is refused in plain words", (_, selector, message) => {
  expect(() => open().put({ selector, mode: "enforce", labels: {}, fionread: "kept" })).toThrow(message);
});

test("a unit is found by its cgroup's name", async () => {
  const unit = makeCgroup(`${attached.slice(1)}/shop.service`);
  const workloads = open();
  const { id } = workloads.put({
    selector: { kind: "unit", unit: "shop" },
    mode: "enforce",
    labels: { app: "shop" },
    fionread: "kept",
  });
  expect(cgroups.get(unit.id)).toEqual({ id, mode: "enforce", fionread: "kept" });
  await unit.remove();
  workloads.refresh();
  expect(cgroups.has(unit.id)).toBe(false);
});

test("the default workload cannot be deleted", () => {
  expect(() => open().delete(1)).toThrow(/mode to off/);
});

test.each([
  ["/", "/a", true],
  ["/a", "/a", true],
  ["/a", "/a/b", true],
  ["/a/b", "/a", true],
  ["/a", "/ab", false],
  ["/a/b", "/a/c", false],
])("%s and %s overlap: %s", (left, right, expected) => expect(overlap(left, right)).toBe(expected));
