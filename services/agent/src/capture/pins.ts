/** What an agent pins below /sys/fs/bpf/picket-<instance>: maps/, links/, slots/<index>/, and retired/ for the socket
 * maps of predecessors that could not be taken over and still hold open connections. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BpfLink, BpfMap } from "@picket/native/bpf";

/** Shared with every slot, by name in maps.h. */
export const SHARED = [
  "sockets",
  "sockets_plain",
  "connections",
  "events",
  "slots",
  "dispatch",
  "workloads",
  "workload_pids",
  "losses",
  "responses",
  "event_seq",
  "judges",
  "holds",
  "keeper",
] as const;
export type SharedMaps = Record<(typeof SHARED)[number], BpfMap<Buffer, Buffer>>;

export const SLOTS_MAX = 16;

export function openPinnedMaps(pins: string): SharedMaps | null {
  const directory = join(pins, "maps");
  if (!SHARED.every(name => existsSync(join(directory, name)))) return null;
  return Object.fromEntries(
    SHARED.map(name => [name, BpfMap.openPinned(join(directory, name))]),
  ) as SharedMaps;
}

/** Pins of a predecessor that cannot be taken over: its programs go, its socket map waits for its sockets to close. */
export function retirePins(pins: string): void {
  if (!existsSync(pins)) return;
  for (const name of namesIn(join(pins, "links"))) removeLink(join(pins, "links", name));
  const slots = join(pins, "maps", "slots");
  if (existsSync(slots)) {
    const map = BpfMap.openPinned(slots);
    for (let index = 0; index < SLOTS_MAX; index++) map.clear(index);
    map.close();
  }
  // Sockets of the plain map lose nothing when it is freed.
  const sockets = join(pins, "maps", "sockets");
  if (existsSync(sockets)) {
    const retired = join(pins, "retired");
    mkdirSync(retired, { recursive: true, mode: 0o700 });
    renameSync(sockets, join(retired, `sockets-${Date.now()}`));
  }
  for (const part of ["maps", "slots", "links"]) rmSync(join(pins, part), { recursive: true, force: true });
}

/** Retired socket maps whose last socket has closed. */
export function sweepRetired(pins: string): void {
  const retired = join(pins, "retired");
  for (const name of namesIn(retired)) {
    const map = BpfMap.openPinned(join(retired, name));
    const empty = map.keys().next().done === true;
    map.close();
    if (empty) rmSync(join(retired, name), { force: true });
  }
  try {
    rmdirSync(retired);
  } catch {
    // Not there, or not empty yet.
  }
}

export function removeLink(path: string): void {
  if (!existsSync(path)) return;
  const link = BpfLink.openPinned(path);
  rmSync(path, { force: true });
  link.close();
}

export function removePins(pins: string): void {
  sweepRetired(pins);
  for (const part of ["links", "maps", "slots"]) rmSync(join(pins, part), { recursive: true, force: true });
  try {
    rmdirSync(pins);
  } catch {
    // A retired map still waits there.
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
