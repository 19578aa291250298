/**
 * Tries a slot before anybody is sent to it: a dispatcher of its own, with maps of its own for sockets, slots and
 * dispatch, and the live maps for everything that the slot shares. A loopback connection of the agent is enrolled
 * there by the same walk that adopts connections, and what is sent on it goes through the very program, verdicts and
 * event ring that the version will have.
 */
import { BpfObject, u32, u64 } from "@picket/native/bpf";
import { Dispatch, Owner } from "@picket/native/events";
import { ownerOf, walk } from "./adopt.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelEvent, StatementFragment } from "./kernel-event.ts";
import { openPair } from "./loopback.ts";
import type { Slot } from "./slot.ts";

const OWN = ["sockets", "sockets_plain", "slots", "dispatch", "workloads", "workload_pids"] as const;
const RUN = new Set(["dispatcher", "adopt"]);
/** No process has it: the workload maps know nothing of it, so the mode given here stands. */
const NOBODY = 0x7fff_ffff;
const WAIT_MS = 3_000;

export type Trial = {
  /** What arrived at the other end, and what the kernel told of it. `quiet`: a known benign one, of which it does not. */
  send(frame: Buffer, how?: { quiet: boolean }): Promise<{ arrived: Buffer; told: StatementFragment | null }>;
};

export class Bench {
  readonly #dispatcher: () => Buffer;
  readonly #kernel: Kernel;
  readonly #trials = new Map<bigint, StatementFragment[]>();
  #arrived = () => {};

  constructor(input: { dispatcher: () => Buffer; kernel: Kernel }) {
    this.#dispatcher = input.dispatcher;
    this.#kernel = input.kernel;
  }

  /** True: the event was a trial's and is nobody else's business. */
  feed(event: KernelEvent): boolean {
    const told = this.#trials.get(event.cookie);
    if (!told) return false;
    if (event.kind === "statement") told.push({ ...event, text: Buffer.from(event.text) });
    this.#arrived();
    return true;
  }

  /** Runs `work` with a connection of the client's side enrolled in enforce mode, judged by the slot. */
  async with<T>(slot: Slot, work: (trial: Trial) => Promise<T>): Promise<T> {
    const object = await this.#open();
    const maps = {
      slots: object.map("slots"),
      dispatch: object.map("dispatch"),
      sockets: object.map("sockets"),
      owners: object.map("owners"),
    };
    const pair = await openPair();
    this.#trials.set(pair.cookie, []);
    try {
      maps.slots.setProgram(slot.index, slot.program);
      maps.dispatch.as({ key: u32, value: Dispatch }).set(0, {
        salt: 1n,
        scopeSinceNs: 0n,
        stable: slot.index,
        candidate: slot.index,
        share: 0,
        newProcessesOnly: 0,
      });
      const link = object.program("dispatcher").attachSkMsg(maps.sockets);
      const owner = ownerOf(process.pid, 0n, { id: 1, mode: "enforce-known" });
      maps.owners
        .as({ key: u64, value: Owner })
        .set(pair.cookie, { ...owner, process: { ...owner.process, tgid: NOBODY } });
      walk(object, "adopt");
      if (maps.sockets.keys().next().done) throw new Error("the kernel did not enrol the test connection");
      try {
        return await work({ send: (frame, how) => this.#send(pair, frame, how) });
      } finally {
        link.close();
      }
    } finally {
      pair.close();
      for (const map of Object.values(maps)) map.close();
      object.close();
      // Its closing is still told: known until then, so that it is not taken for an application's.
      const { cookie } = pair;
      setTimeout(() => this.#trials.delete(cookie), WAIT_MS).unref();
    }
  }

  async #open(): Promise<BpfObject> {
    const shared = Object.entries(this.#kernel.maps).filter(
      ([name]) => !(OWN as readonly string[]).includes(name),
    );
    const names = [...this.#kernel.object.programs];
    return BpfObject.open(this.#dispatcher(), {
      name: "bench",
      mapReuse: Object.fromEntries(shared),
      autoload: Object.fromEntries(names.map(({ name }) => [name, RUN.has(name)])),
      maxEntries: {
        events: this.#kernel.maps.events.info.maxEntries,
        sockets: 16,
        sockets_plain: 1,
        owners: 16,
        workloads: 1,
        workload_pids: 1,
      },
    }).loadAsync();
  }

  async #send(
    pair: { client: NodeJS.WritableStream; server: import("node:net").Socket; cookie: bigint },
    frame: Buffer,
    { quiet } = { quiet: false },
  ): Promise<{ arrived: Buffer; told: StatementFragment | null }> {
    const told = this.#trials.get(pair.cookie) ?? [];
    told.length = 0;
    const chunks: Buffer[] = [];
    const collect = (chunk: Buffer) => {
      chunks.push(chunk);
      this.#arrived();
    };
    pair.server.on("data", collect);
    pair.server.resume();
    pair.client.write(frame);
    const complete = () => (quiet || told.some(({ last }) => last)) && isWhole(Buffer.concat(chunks), frame);
    await this.#until(complete);
    pair.server.off("data", collect);
    pair.server.pause();
    return { arrived: Buffer.concat(chunks), told: told.find(({ last }) => last) ?? null };
  }

  async #until(met: () => boolean): Promise<void> {
    const endsMs = performance.now() + WAIT_MS;
    while (!met() && performance.now() < endsMs)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, 20);
        this.#arrived = () => {
          clearTimeout(timer);
          resolve();
        };
      });
  }
}

/** Whether the bytes hold a whole message of the protocol that was sent. */
function isWhole(bytes: Buffer, sent: Buffer): boolean {
  if (bytes.length < 5) return false;
  const isPostgresql = sent[0] === 0x51;
  return bytes.length >= (isPostgresql ? 1 + bytes.readUInt32BE(1) : 4 + bytes.readUIntLE(0, 3));
}
