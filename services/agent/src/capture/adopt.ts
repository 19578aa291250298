/**
 * Connections that exist before the agent: the kernel's iterator walks all TCP sockets and enrols those of watched
 * workloads. Which process holds a socket only user space can say, so it is written down before the walk.
 */
import { type BpfObject, listTcpSockets, u64 } from "@picket/native/bpf";
import { Owner } from "@picket/native/events";
import { comm, parentAndStart, socketOwners } from "../host/processes.ts";
import { type Chosen, KERNEL_MODES } from "./modes.ts";

/** clock ticks of /proc/<pid>/stat: 100 a second on every Linux that has BPF. */
const NS_PER_TICK = 10_000_000n;

/** `chosen` gives the workload of a process that was chosen by its id; others are found by their cgroup. */
export function adopt(object: BpfObject, chosen: (pid: number) => Chosen | undefined): void {
  const owners = object.map("owners").as({ key: u64, value: Owner });
  const sockets = listTcpSockets({ states: ["ESTABLISHED"] }).filter(({ inode }) => inode !== 0);
  const holders = socketOwners(new Set(sockets.map(({ inode }) => inode)));
  const entries = sockets.flatMap(({ cookie, inode, cgroupId }) => {
    const pid = holders.get(inode);
    if (pid === undefined) return [];
    return [[cookie, ownerOf(pid, cgroupId ?? 0n, chosen(pid))] as const];
  });
  try {
    if (entries.length > 0) owners.setMany(entries.slice(0, owners.info.maxEntries));
    walk(object, "adopt");
  } finally {
    for (const [cookie] of entries) owners.delete(cookie);
    owners.close();
  }
}

export function ownerOf(pid: number, cgroupId: bigint, workload?: Pick<Chosen, "id" | "mode">): Owner {
  return {
    process: {
      cgroupId,
      startNs: BigInt(parentAndStart(pid)?.startTicks ?? 0) * NS_PER_TICK,
      tgid: pid,
      tid: pid,
      comm: (comm(pid) ?? "").slice(0, 15),
    },
    workload: workload?.id ?? 0,
    mode: KERNEL_MODES[workload?.mode ?? "off"],
  };
}

/** An iterator runs when it is read. */
export function walk(object: BpfObject, program: string): void {
  const link = object.program(program).attachIter();
  try {
    link.readIter();
  } finally {
    link.close();
  }
}
