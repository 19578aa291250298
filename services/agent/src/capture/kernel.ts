/**
 * The agent's place in the kernel: the dispatcher, the maps that every slot shares, and their pins.
 *
 * Everything is pinned below /sys/fs/bpf/picket-<instance>, so that nothing in the kernel changes when the agent is
 * killed: what was blocked stays blocked, unread responses stay readable (WIRE §1: freeing a socket map with a
 * stream_verdict program loses them), and the next start takes over. Stopping takes it all away: the slots are
 * emptied first, so that statements pass at once.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BpfError, BpfLink, type BpfMap, BpfObject, RingBuffer, u32, u64 } from "@picket/native/bpf";
import { ABI, Dispatch, Loss, Sockets, type VerdictEntry, Workload } from "@picket/native/events";
import { err, ok, type Result } from "@picket/shared/result";
import type { WorkloadMaps } from "../workloads/workloads.ts";
import { adopt } from "./adopt.ts";
import { EventDecoder } from "./decode.ts";
import type { ConnectionEvent, KernelEvent } from "./kernel-event.ts";
import { type Chosen, KERNEL_MODES } from "./modes.ts";
import {
  openPinnedMaps,
  removeLink,
  removePins,
  retirePins,
  SHARED,
  type SharedMaps,
  SLOTS_MAX,
  sweepRetired,
} from "./pins.ts";
import { refusalText, type SlotRefusal, slotRefusalCode } from "./refusal.ts";
import { SequenceTracker } from "./sequence.ts";
import { type Severed, sever } from "./sever.ts";
import { pinnedVerdicts, Slot, type SlotRequest } from "./slot.ts";

/** Pinned links; the programs on the socket maps stay with the maps. */
const LINKED = ["state_changed", "retransmitted", "answered", "closing", "enrol"] as const;
/** Of them, those that see the sockets of a cgroup. */
const IN_CGROUP: readonly string[] = ["answered", "closing", "enrol"];
/** The keeper opens it: it ends the connections whose bytes are lost or denied. */
const KEEPER_LINK = "sever_held";

/** Each page of the ring is mapped twice and counts as resident memory: 2 MiB hold about 8,000 events. */
const RING_BYTES = 2 << 20;
const BATCH_BYTES = 256 << 10;

/** Layout number of everything that crosses between the programs and this agent. */
export const KERNEL_ABI = ABI;

const VERIFIER_LINES = 20;

export type DispatchSettings = {
  stable: number;
  candidate: number;
  /** Of 10,000. */
  share: number;
  newProcessesOnly: boolean;
};

export type KernelOptions = {
  dispatcher: Buffer;
  pins: string;
  cgroupPath: string;
  /** The pins were made by an agent of this ABI and may be taken over. */
  takeOver: boolean;
  /** The same dispatcher runs already: its links stay as they are. */
  sameDispatcher: boolean;
  /** WIRE §1: restores FIONREAD on kernels that need it, and makes freeing the map dangerous. */
  streamVerdict: boolean;
  /** Connections of workloads that never ask FIONREAD go without the program. */
  plainSockets: boolean;
  /** False where membership in a socket map would change how applications read: connections are left alone. */
  enrolSockets: boolean;
};

export class Kernel {
  readonly #object: BpfObject;
  readonly #maps: SharedMaps;
  readonly #options: Omit<KernelOptions, "dispatcher">;
  readonly #sequence: SequenceTracker;
  readonly #links = new Map<string, BpfLink>();
  readonly #sockmapLinks: BpfLink[] = [];
  readonly #slots: BpfMap<Buffer, Buffer>;
  readonly #dispatch: BpfMap<number, Dispatch>;
  /** What the map holds: nobody else writes it while this agent runs. */
  #dispatched: Dispatch | undefined;
  readonly #losses: BpfMap<number, bigint[]>;
  readonly #lossesBefore: Record<string, number>;
  readonly tookOver: boolean;
  /** Why what a predecessor pinned was taken away instead; null: it was not. */
  readonly discarded: string | null;
  #ring: RingBuffer | undefined;
  #closed = false;

  private constructor(
    object: BpfObject,
    maps: SharedMaps,
    options: KernelOptions,
    tookOver: boolean,
    discarded: string | null,
  ) {
    this.#object = object;
    this.#maps = maps;
    const { dispatcher: _loaded, ...rest } = options;
    this.#options = rest;
    this.tookOver = tookOver;
    this.discarded = discarded;
    this.#slots = maps.slots;
    this.#dispatch = maps.dispatch.as({ key: u32, value: Dispatch });
    const dispatched = this.#dispatch.get(0);
    if (dispatched && dispatched.salt !== 0n) this.#dispatched = dispatched;
    this.#losses = maps.losses.perCpu({ key: u32, value: u64 });
    this.#sequence = new SequenceTracker(!tookOver);
    this.#lossesBefore = tookOver ? this.#readLosses() : {};
  }

  /**
   * Loads and pins; nothing is attached yet. What a predecessor pinned and these programs cannot work with, although
   * its ABI number says so, is taken away: statements pass until the new programs see them.
   */
  static async open(options: KernelOptions): Promise<Kernel> {
    const pinned = options.takeOver ? openPinnedMaps(options.pins) : null;
    try {
      return await Kernel.#load(options, pinned, null);
    } catch (error) {
      if (!pinned || !(error instanceof BpfError)) throw error;
      for (const map of Object.values(pinned)) map.close();
      const afresh = { ...options, takeOver: false, sameDispatcher: false };
      return await Kernel.#load(afresh, null, error.message);
    }
  }

  static async #load(
    options: KernelOptions,
    pinned: SharedMaps | null,
    discarded: string | null,
  ): Promise<Kernel> {
    if (!pinned) retirePins(options.pins);
    sweepRetired(options.pins);
    const object = BpfObject.open(options.dispatcher, {
      name: "dispatcher",
      maxEntries: { events: pinned?.events.info.maxEntries ?? RING_BYTES },
      ...(pinned ? { mapReuse: pinned } : {}),
    });
    try {
      await object.loadAsync();
      const maps = Object.fromEntries(
        SHARED.map(name => [name, pinned?.[name] ?? object.map(name)]),
      ) as SharedMaps;
      if (!pinned) {
        mkdirSync(join(options.pins, "maps"), { recursive: true, mode: 0o700 });
        for (const name of SHARED) maps[name].pin(join(options.pins, "maps", name));
      }
      return new Kernel(object, maps, options, pinned !== null, discarded);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  /** What a keeper needs before it starts. False: no connection is enrolled on this kernel, so nothing is held. */
  attachKeeper(): boolean {
    if (!this.#options.enrolSockets) return false;
    this.#sockmapLinks.push(this.#object.program("release").attachSkMsg(this.#maps.judges));
    this.#link(KEEPER_LINK, () => this.#object.program(KEEPER_LINK).attachIter());
    return true;
  }

  /** The programs begin to see connections. A slot should be switched to before. */
  attach(): void {
    const { cgroupPath, streamVerdict, enrolSockets } = this.#options;
    if (!enrolSockets) return;
    for (const map of [this.#maps.sockets, this.#maps.sockets_plain])
      this.#sockmapLinks.push(this.#object.program("dispatcher").attachSkMsg(map));
    if (streamVerdict)
      this.#sockmapLinks.push(this.#object.program("keep_fionread").attachSkSkb(this.#maps.sockets));
    for (const name of LINKED) {
      const program = this.#object.program(name);
      this.#link(name, () =>
        IN_CGROUP.includes(name) ? program.attachCgroup(cgroupPath) : program.attach(),
      );
    }
  }

  #link(name: string, attach: () => BpfLink): void {
    const { pins, sameDispatcher } = this.#options;
    const path = join(pins, "links", name);
    mkdirSync(join(pins, "links"), { recursive: true, mode: 0o700 });
    if (sameDispatcher && this.tookOver && existsSync(path)) {
      this.#links.set(name, BpfLink.openPinned(path));
      return;
    }
    // First away with the old one: two would each enrol a new socket, and the second be refused. What connects in
    // between is found by adopt().
    removeLink(path);
    const link = attach();
    link.pin(path);
    this.#links.set(name, link);
  }

  /** Enrols the connections that exist already. */
  adopt(chosen: (pid: number) => Chosen | undefined): void {
    if (this.#options.enrolSockets) adopt(this.#object, chosen);
  }

  sever(connection: Pick<ConnectionEvent, "cookie" | "endpoints">): Severed {
    return sever(this.#object, connection);
  }

  /** One event that cannot be handled is counted and said; the others of its batch are handled all the same. */
  read(
    handle: (event: KernelEvent) => void,
    batchEnded: () => void,
    failed: (error: unknown) => void,
  ): EventDecoder {
    const decoder = new EventDecoder(this.#sequence);
    this.#ring = RingBuffer.open(this.#maps.events, {
      batchBytes: BATCH_BYTES,
      buffers: 3,
      onBatch: batch => {
        for (const event of decoder.decode(batch)) {
          try {
            handle(event);
          } catch (error) {
            decoder.unreadable += 1;
            failed(error);
          }
        }
        batchEnded();
      },
      onError: failed,
    });
    return decoder;
  }

  get object(): BpfObject {
    return this.#object;
  }

  get maps(): Readonly<SharedMaps> {
    return this.#maps;
  }

  /** The verifier's last lines are in the refusal: they name the instruction. */
  async loadSlot(request: Omit<SlotRequest, "shared" | "pins">): Promise<Result<Slot, SlotRefusal>> {
    try {
      return ok(await Slot.load({ ...request, shared: this.#maps, pins: this.#options.pins }));
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      return err({
        code: slotRefusalCode(error.code),
        detail: refusalText(error.message, error.lastLines(VERIFIER_LINES)),
      });
    }
  }

  /** Puts the slot's program where the dispatcher finds it; nobody is sent there before a switch. */
  place(slot: Slot): void {
    this.#slots.setProgram(slot.index, slot.program);
  }

  /**
   * All that takes time is done now. The returned function switches, by one map update: from the next message on.
   * It is to be called before another is prepared.
   */
  prepareSwitch(settings: DispatchSettings): () => void {
    const before = this.#dispatched;
    const sameCandidate = before?.candidate === settings.candidate;
    const next = {
      // The salt stays for as long as this candidate does, or the share would take other processes at each change.
      salt: sameCandidate ? before.salt : randomBigInt(),
      scopeSinceNs: !settings.newProcessesOnly
        ? 0n // Not looked at.
        : before?.newProcessesOnly && sameCandidate
          ? before.scopeSinceNs
          : bootNs(),
      stable: settings.stable,
      candidate: settings.candidate,
      share: settings.share,
      newProcessesOnly: settings.newProcessesOnly ? 1 : 0,
    };
    const write = this.#dispatch.prepare(0, next);
    return () => {
      write();
      this.#dispatched = next;
    };
  }

  dispatched(): { stable: number; candidate: number } | null {
    const now = this.#dispatched;
    return now ? { stable: now.stable, candidate: now.candidate } : null;
  }

  /** What a predecessor's slot knew of shapes, by the same hash key. */
  inheritedVerdicts(index: number): Generator<[bigint, VerdictEntry]> {
    return pinnedVerdicts(this.#options.pins, index);
  }

  clearSlot(index: number): void {
    this.#slots.clear(index);
    rmSync(join(this.#options.pins, "slots", String(index)), { recursive: true, force: true });
  }

  get workloads(): WorkloadMaps {
    const cgroups = this.#maps.workloads.as({ key: u64, value: Workload });
    const processes = this.#maps.workload_pids.as({ key: u32, value: Workload });
    const entry = ({ id, mode, fionread }: Chosen) => ({
      id,
      mode: KERNEL_MODES[mode],
      sockets: fionread === "unused" && this.#options.plainSockets ? Sockets.PLAIN : Sockets.KEPT,
    });
    return {
      setCgroup: (cgroup, workload) => cgroups.set(cgroup, entry(workload)),
      deleteCgroup: cgroup => void cgroups.delete(cgroup),
      setProcess: (tgid, workload) => processes.set(tgid, entry(workload)),
      deleteProcess: tgid => void processes.delete(tgid),
    };
  }

  /** What a predecessor left in the two maps is not this agent's to know: start from nothing. */
  forgetWorkloads(): void {
    for (const map of [this.#maps.workloads, this.#maps.workload_pids])
      for (const key of [...map.keys()]) map.delete(key);
  }

  /** Enrolled sockets that are open now, by what is done for FIONREAD. */
  enrolled(): { kept: number; plain: number } {
    const { sockets, sockets_plain: plain } = this.#maps;
    return { kept: [...sockets.keys()].length, plain: [...plain.keys()].length };
  }

  events(): { emitted: number; received: number; lost: number } {
    return this.#sequence.totals;
  }

  /** By name of enum picket_loss, since this agent started; only those above zero. */
  losses(): Record<string, number> {
    const now = this.#readLosses();
    return Object.fromEntries(
      Object.entries(now).flatMap(([name, count]) => {
        const since = count - (this.#lossesBefore[name] ?? 0);
        return since > 0 ? [[name, since]] : [];
      }),
    );
  }

  #readLosses(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(Loss)
        .filter(([name]) => name !== "KINDS")
        .map(([name, index]) => {
          const perCpu = this.#losses.get(index) ?? [];
          return [name.toLowerCase(), Number(perCpu.reduce((sum, count) => sum + count, 0n))];
        }),
    );
  }

  /** Statements pass unjudged from now on. */
  emptySlots(): void {
    for (let index = 0; index < SLOTS_MAX; index++) this.#slots.clear(index);
  }

  /**
   * Ends. `keep` leaves everything as it is for a successor. Otherwise all goes, except that on a kernel with the
   * FIONREAD program the maps stay pinned while enrolled sockets are open: freeing them would lose what those have
   * not read. Says how many those are.
   */
  async close({ keep }: { keep: boolean }): Promise<{ socketsLeft: number }> {
    if (this.#closed) return { socketsLeft: 0 };
    this.#closed = true;
    const { pins, streamVerdict } = this.#options;
    if (!keep) {
      this.emptySlots();
      for (const link of this.#links.values()) link.unpin();
      for (const link of this.#links.values()) link.close();
      rmSync(join(pins, "links"), { recursive: true, force: true });
      rmSync(join(pins, "slots"), { recursive: true, force: true });
    }
    await this.#ring?.close();
    const socketsLeft = keep || !streamVerdict ? 0 : this.enrolled().kept;
    for (const link of this.#sockmapLinks) {
      // Detached, a socket that is still in the map keeps its programs; the map only stops giving them to new ones.
      if (keep) link.release();
      else link.close();
    }
    if (!keep && socketsLeft === 0) removePins(pins);
    for (const map of Object.values(this.#maps)) map.close();
    this.#object.close();
    return { socketsLeft };
  }
}

export function digestOf(object: Buffer): string {
  return createHash("sha256").update(object).digest("hex");
}

function randomBigInt(): bigint {
  const bytes = new BigUint64Array(1);
  crypto.getRandomValues(bytes);
  return bytes[0]! | 1n;
}

/** CLOCK_BOOTTIME, which start times of processes are counted in. */
function bootNs(): bigint {
  // process.hrtime is CLOCK_MONOTONIC: it stands still while the machine sleeps. /proc/uptime does not.
  return BigInt(Math.floor(Number(readUptime()) * 1e9));
}

function readUptime(): string {
  return readFileSync("/proc/uptime", "utf8").split(" ")[0]!;
}
