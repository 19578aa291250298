/**
 * The kernel programs alone, without an agent: one slot that knows no shape, so that each new shape is told with the
 * session that it was read by. The test process joins the cgroup while it connects.
 */
import { readFileSync, rmSync, statSync } from "node:fs";
import { Kernel } from "@picket/agent/capture/kernel";
import type { StatementFragment } from "@picket/agent/capture/kernel-event";
import type { HoldSettings, Slot } from "@picket/agent/capture/slot";
import { randomHashKey } from "@picket/native/lexer";
import { makeCgroup } from "./index.ts";
import { joinCgroup } from "./join-cgroup.ts";

const object = (name: string) =>
  readFileSync(new URL(`../../packages/bpf/dist/${name}.bpf.o`, import.meta.url));

export type Told = Pick<StatementFragment, "session" | "danger" | "fingerprint" | "cookie"> & { sql: string };

export type WatchedKernel = {
  kernel: Kernel;
  slot: Slot;
  pins: string;
  cgroup: string;
  /** The statement with this text in it, once the kernel has told of it. */
  told(part: string): Promise<Told>;
  all: readonly Told[];
  stop(): Promise<void>;
};

export type WatchOptions = {
  mode?: "observe" | "enforce";
  hold?: HoldSettings;
};

export async function watchKernel(
  name: string,
  { mode = "observe", hold }: WatchOptions = {},
): Promise<WatchedKernel> {
  const cgroup = makeCgroup(`picket-test-${name}-${process.pid}`);
  const pins = `/sys/fs/bpf/picket-test-${name}-${process.pid}`;
  const kernel = await Kernel.open({
    dispatcher: object("dispatcher"),
    pins,
    cgroupPath: cgroup.path,
    takeOver: false,
    sameDispatcher: false,
    streamVerdict: true,
    enrolSockets: true,
    plainSockets: false,
  });
  const { key, start } = randomHashKey();
  const all: Told[] = [];
  kernel.read(
    event => {
      if (event.kind !== "statement") return;
      const { session, danger, fingerprint, cookie } = event;
      all.push({ session, danger, fingerprint, cookie, sql: event.text.toString("latin1") });
    },
    () => {},
    error => {
      throw error;
    },
  );
  const slot = await kernel.loadSlot({
    object: object("slot"),
    index: 0,
    ordinal: 1,
    rules: ["none"],
    hashKey: key,
    hashStart: start,
    hold,
  });
  if (!slot.ok) throw new Error(slot.error.detail);
  kernel.place(slot.value);
  kernel.prepareSwitch({ stable: 0, candidate: 0, share: 10_000, newProcessesOnly: false })();
  kernel.workloads.setCgroup(BigInt(statSync(cgroup.path).ino), { id: 1, mode, fionread: "kept" });
  const leave = joinCgroup(cgroup.path);
  if (hold) kernel.attachKeeper();
  kernel.attach();
  return {
    kernel,
    slot: slot.value,
    pins,
    cgroup: cgroup.path,
    all,
    async told(part) {
      for (let waited = 0; waited < 5_000; waited += 5) {
        const found = all.find(({ sql }) => sql.includes(part));
        if (found) return found;
        await new Promise(resolve => setTimeout(resolve, 5));
      }
      throw new Error(`the kernel told of no statement with ${part}`);
    },
    async stop() {
      leave();
      slot.value.close({ keepPins: false });
      await kernel.close({ keep: false });
      rmSync(pins, { recursive: true, force: true });
      await cgroup.remove();
    },
  };
}
