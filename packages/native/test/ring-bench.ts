import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { BpfMap, BpfObject, BpfProgram, type RingBatch, RingBuffer } from "../src/bpf/index.ts";
import { StatementEventView } from "../src/events.generated.ts";
import { bpfFileSystem } from "./host.ts";
import { objectBytes } from "./objects.ts";

/*
 * How fast events of a statement's size come into JavaScript, and what an idle reader costs:
 * `node --conditions=source --import tsx packages/native/test/ring-bench.ts`. A second thread has the kernel
 * write as fast as it can and backs off when half of the ring is full, so what is measured is the reader.
 */

const EVENTS = 3_000_000;
const BYTES = 304; // a statement event with 128 bytes of text

if (isMainThread) await main();
else produceFor(workerData.pin, workerData.waiting);

async function main(): Promise<void> {
  const handlers: Record<string, () => (batch: RingBatch) => void> = {
    "count only": () => () => {},
    "sequence of each event": () => {
      let last = 0n;
      return ({ view, offsets, count }) => {
        for (let index = 0; index < count; index++) last = view.getBigUint64(offsets[index]!, true);
        if (last < 0n) throw new Error("never");
      };
    },
    "eight fields of each event": () => {
      let event: StatementEventView | undefined;
      let sum = 0;
      return ({ view, offsets, count }) => {
        event ??= new StatementEventView(view);
        for (let index = 0; index < count; index++) {
          event.moveTo(view, offsets[index]!);
          sum += event.header.cpu + event.header.kind + event.protocol + event.verdict + event.rule;
          sum += event.textBytes + event.process.tgid + (event.last ? 1 : 0);
        }
        if (Number.isNaN(sum)) throw new Error("never");
      };
    },
  };
  console.log(`node ${process.version}, ${EVENTS} events of ${BYTES} bytes`);
  for (const [name, make] of Object.entries(handlers)) await measure(name, make());
  await idle();
}

async function measure(name: string, handler: (batch: RingBatch) => void): Promise<void> {
  const object = BpfObject.open(objectBytes("ring"), { name: "ring" }).load();
  const pin = `${bpfFileSystem()}/picket-bench-${process.pid}`;
  object.program("produce").pin(pin);
  const waiting = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    `import("tsx/esm/api").then(api => { api.register(); return import(${JSON.stringify(import.meta.url)}); })`,
    { eval: true, workerData: { pin, waiting } },
  );
  let seen = 0;
  let started = 0n;
  const before = { cpu: process.cpuUsage(), main: process.hrtime.bigint() };
  const busy = performance.eventLoopUtilization();
  await new Promise<void>(resolve => {
    const ring = RingBuffer.open(object.map("events"), {
      onBatch: batch => {
        if (started === 0n) started = process.hrtime.bigint();
        handler(batch);
        seen += batch.count;
        Atomics.store(waiting, 0, seen);
        if (seen >= EVENTS) {
          const seconds = Number(process.hrtime.bigint() - started) / 1e9;
          const stats = ring.stats();
          const main = performance.eventLoopUtilization(busy);
          console.log(
            `${name.padEnd(28)} ${(seen / seconds / 1e6).toFixed(2)} M events/s, ${(seen / stats.batches).toFixed(0)} per batch, ` +
              `main thread busy ${((main.active * 1e6) / seen).toFixed(0)} ns per event`,
          );
          void ring.close().then(resolve);
        }
      },
    });
  });
  const lost = object.readVariable("lost").readBigUInt64LE();
  console.log(
    `${"".padEnd(28)} lost in the kernel: ${lost}, cpu ${JSON.stringify(process.cpuUsage(before.cpu))} µs`,
  );
  await worker.terminate();
  BpfProgram.openPinned(pin).unpin(pin);
  object.close();
}

function produceFor(pin: string, seen: Int32Array): void {
  const program = BpfProgram.openPinned(pin);
  const context = Buffer.alloc(12);
  const block = 2000;
  context.writeUInt32LE(block, 0);
  context.writeUInt32LE(BYTES, 4);
  for (let produced = 0; produced < EVENTS; produced += block) {
    // Half of the 8 MB ring is about 13,000 events; the reader's buffers take some more.
    while (produced - Atomics.load(seen, 0) > 13_000);
    program.testRun({ context });
  }
  parentPort!.close();
}

async function idle(): Promise<void> {
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
  const map = BpfMap.create({ name: "idle", type: "ringbuf", keySize: 0, valueSize: 0, maxEntries: 8 << 20 });
  const before = rss();
  const ring = RingBuffer.open(map, { onBatch: () => {} });
  const after = rss();
  const cpu = process.cpuUsage();
  await sleep(Number(process.env.IDLE_MS ?? 10_000));
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `idle for 10 s: ${((user + system) / 1e5).toFixed(4)} % of a core (whole process), wakeups ${ring.stats().wakeups}; ` +
      `an 8 MB ring adds ${after - before} kB resident`,
  );
  await ring.close();
}
