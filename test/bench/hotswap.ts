/**
 * 1,000 hot swaps while statements flow: every statement sent must have been judged by exactly one version, no event
 * lost, no slot found empty. Most swaps go back and forth between loaded versions; every 25th loads a new one into a
 * spare slot first, as a rollout does. A control run without swaps comes first, at the same load.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { Kernel } from "@picket/agent/capture/kernel";
import type { Slot } from "@picket/agent/capture/slot";
import { mountPoint } from "@picket/agent/host/cgroups";
import { lex, randomHashKey } from "@picket/native/lexer";
import { type Cgroup, cgroup2Mount, makeCgroup } from "../harness/index.ts";
import { load, row } from "./guarded.ts";

const SWAPS = 1_000;
const FRESH_EVERY = 25;
const PER_SECOND = 8_000;
const SLOTS = 8;
const SHAPES = [
  "SELECT id, name FROM products WHERE id = 1 AND note <> 'a'",
  "UPDATE stock SET amount = amount - 1 WHERE label = 'a'",
];

const object = (name: string) =>
  readFileSync(new URL(`../../packages/bpf/dist/${name}.bpf.o`, import.meta.url));
const percentile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

export async function run({ json = false } = {}) {
  if (cgroup2Mount() && mountPoint("bpf") === null)
    execFileSync("mount", ["-t", "bpf", "bpf", "/sys/fs/bpf"]);
  const cgroup = makeCgroup(`picket-bench-swap-${process.pid}`);
  try {
    const control = await measure(cgroup, 0);
    const swapped = await measure(cgroup, SWAPS);
    if (!json) {
      row("control without swaps: sent / judged", `${control.sent} / ${control.judged}`);
      row(
        `${SWAPS} swaps at ${Math.round(swapped.sent / swapped.seconds)} statements/s: sent / judged`,
        `${swapped.sent} / ${swapped.judged}`,
      );
      row("statements unjudged", String(swapped.unjudged), "0", swapped.unjudged === 0);
      row("events lost (sequence gaps)", String(swapped.eventsLost), "0", swapped.eventsLost === 0);
      row(
        "losses counted in the kernel",
        JSON.stringify(swapped.losses),
        "{}",
        Object.keys(swapped.losses).length === 0,
      );
      row(
        "versions that judged, fewest / most statements",
        `${swapped.versions}, ${swapped.fewest} / ${swapped.most}`,
      );
      row("one switch, p50", `${swapped.switchP50Us.toFixed(1)} µs`);
      row("one switch, p99", `${swapped.switchP99Us.toFixed(1)} µs`, "≤ 50 µs", swapped.switchP99Us <= 50);
      row(
        "  … with its preparation, p50 / p99",
        `${swapped.wholeP50Us.toFixed(1)} / ${swapped.wholeP99Us.toFixed(1)} µs`,
      );
      row("loading a new version into a spare slot, p50", `${swapped.loadP50Ms.toFixed(0)} ms`);
      row("send() p99, control → swapping", `${control.sendP99Ns} → ${swapped.sendP99Ns} ns`);
    }
    return { control, swapped };
  } finally {
    await cgroup.remove();
  }
}

async function measure(cgroup: Cgroup, swaps: number) {
  const pins = `/sys/fs/bpf/picket-bench-swap-${process.pid}`;
  const secrets = randomHashKey();
  const kernel = await Kernel.open({
    dispatcher: object("dispatcher"),
    pins,
    cgroupPath: cgroup.path,
    takeOver: false,
    sameDispatcher: false,
    streamVerdict: true,
    plainSockets: false,
    enrolSockets: true,
  });
  try {
    let ordinal = 0;
    const loadMs: number[] = [];
    const judgedBy = new Map<number, number>();
    const remember = (slot: Slot) => judgedBy.set(slot.ordinal, slot.counters().statements);
    const fresh = async (index: number): Promise<Slot> => {
      const begin = performance.now();
      const loaded = await kernel.loadSlot({
        object: object("slot"),
        index,
        ordinal: ++ordinal,
        hashKey: secrets.key,
        hashStart: secrets.start,
        rules: [],
      });
      if (!loaded.ok) throw new Error(loaded.error.detail);
      for (const sql of SHAPES)
        loaded.value.setVerdict(lex(sql, { dialect: "mysql", key: secrets }).fingerprint, {
          verdict: "benign",
          action: "observe",
          rule: null,
          source: "bundle",
        });
      kernel.place(loaded.value);
      loadMs.push(performance.now() - begin);
      return loaded.value;
    };
    const slots = [await fresh(0), await fresh(1)];
    const prepareSwitch = (index: number) =>
      kernel.prepareSwitch({ stable: index, candidate: index, share: 10_000, newProcessesOnly: false });
    prepareSwitch(0)();
    kernel.read(
      () => {},
      () => {},
      error => {
        throw error;
      },
    );
    kernel.workloads.setCgroup(cgroup.id, { id: 1, mode: "enforce", fionread: "kept" });
    kernel.attach();

    const seconds = 15;
    const flowing = load(cgroup, { perSecond: PER_SECOND, seconds, connections: 4, bytes: 100 });
    const switchUs: number[] = [];
    const wholeUs: number[] = [];
    let current = 0;
    for (let swap = 1; swap <= swaps; swap++) {
      if (swap % FRESH_EVERY === 0) {
        // The slot that was given up longest ago makes room; its count is final.
        const index = (Math.max(...slots.map(slot => slot.index)) + 1) % SLOTS;
        const spare = slots.findIndex((_, i) => i !== current);
        const old = slots[spare]!;
        const next = await fresh(slots.some(slot => slot.index === index) ? (index + 1) % SLOTS : index);
        slots[spare] = next;
        remember(old);
        kernel.clearSlot(old.index);
        old.close({ keepPins: false });
      }
      current = 1 - current;
      const begin = performance.now();
      const commit = prepareSwitch(slots[current]!.index);
      const prepared = performance.now();
      commit();
      const ended = performance.now();
      switchUs.push((ended - prepared) * 1_000);
      wholeUs.push((ended - begin) * 1_000);
      await new Promise(resolve => setTimeout(resolve, (seconds * 800) / swaps));
    }
    const sent = await flowing;
    await new Promise(resolve => setTimeout(resolve, 300));
    for (const slot of slots) remember(slot);
    const counts = [...judgedBy.values()];
    const judged = counts.reduce((sum, count) => sum + count, 0);
    const events = kernel.events();
    for (const slot of slots) slot.close({ keepPins: false });
    return {
      sent: sent.sent,
      seconds: sent.seconds,
      judged,
      unjudged: sent.sent - judged,
      eventsLost: events.lost,
      losses: kernel.losses(),
      versions: counts.length,
      fewest: Math.min(...counts),
      most: Math.max(...counts),
      perVersion: Object.fromEntries(judgedBy),
      switchP50Us: percentile(switchUs, 0.5),
      switchP99Us: percentile(switchUs, 0.99),
      wholeP50Us: percentile(wholeUs, 0.5),
      wholeP99Us: percentile(wholeUs, 0.99),
      loadP50Ms: percentile(loadMs, 0.5),
      sendP99Ns: sent.p99Ns,
    };
  } finally {
    await kernel.close({ keep: false });
    rmSync(pins, { recursive: true, force: true });
  }
}
