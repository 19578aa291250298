import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { objectBytes } from "../../test/objects.ts";
import { BpfMap, BpfObject, type RingBatch, RingBuffer, type RingOptions } from "./index.ts";

let object: BpfObject;
beforeEach(() => {
  object = BpfObject.open(objectBytes("ring"), { name: "ring" }).load();
});
afterEach(() => object.close());

const variable = (name: string) => Number(object.readVariable(name).readBigUInt64LE());

function produce(count: number, bytes = 16, discard = 0): void {
  const context = Buffer.alloc(12);
  context.writeUInt32LE(count, 0);
  context.writeUInt32LE(bytes, 4);
  context.writeUInt32LE(discard, 8);
  expect(object.program("produce").testRun({ context }).returned).toBe(count);
}

/** Checks every event of a batch as it comes: in order, whole, of the right size. */
class Checker {
  count = 0;
  gaps = 0;
  next = 0;
  wrong = 0;
  readonly check = (batch: RingBatch) => {
    const view = new DataView(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
    for (let index = 0; index < batch.count; index++) {
      const at = batch.offsets[index]!;
      const seq = view.getBigUint64(at, true);
      const expected = BigInt.asUintN(64, seq * 0x9e3779b97f4a7c15n);
      if (view.getBigUint64(at + 8, true) !== expected || at % 8 !== 0) this.wrong++;
      this.gaps += Number(seq) - this.next;
      this.next = Number(seq) + 1;
      this.count++;
    }
  };
}

const open = (options: RingOptions) => RingBuffer.open(object.map("events"), options);

async function until(met: () => boolean): Promise<void> {
  while (!met()) await sleep(1);
}

test("a million events arrive: each once, whole and in order", async () => {
  const checker = new Checker();
  const ring = open({ onBatch: checker.check });
  for (let produced = 0; produced < 1_000_000; produced += 20_000) {
    produce(20_000, 16 + (produced % 7) * 8);
    await until(() => ring.stats().ringBytesWaiting < 2 ** 20);
  }
  await ring.close();
  expect(checker).toMatchObject({ count: 1_000_000, gaps: 0, wrong: 0 });
  expect(variable("lost")).toBe(0);
  expect(ring.stats()).toMatchObject({ events: 1_000_000, discarded: 0, oversized: 0, ringBytesWaiting: 0 });
});

test("what is lost under back-pressure is exactly what the kernel counted", async () => {
  const checker = new Checker();
  let release = () => {};
  const held = new Promise<void>(resolve => {
    release = resolve;
  });
  const ring = open({
    batchBytes: 64 * 1024,
    onBatch: batch => {
      checker.check(batch);
      return held;
    },
  });
  // Each event takes 1,032 bytes of the 8 MB ring: 20,000 do not fit, whatever the reader's four buffers take.
  for (let turn = 0; turn < 20; turn++) {
    produce(1000, 1024);
    await sleep(1);
  }
  expect(ring.stats().stalls).toBeGreaterThan(0);
  expect(ring.stats().batchesInFlight).toBe(1);
  expect(ring.stats().ringBytesWaiting).toBeGreaterThan(7 * 2 ** 20);
  release();
  await ring.close();
  const lost = variable("lost");
  expect(lost).toBeGreaterThan(10_000);
  expect(checker.count + lost).toBe(20_000);
  expect(checker.wrong).toBe(0);
  // Gaps seen by the reader, and those after the last event that still fitted.
  expect(checker.gaps + (20_000 - checker.next)).toBe(lost);
});

test("discarded records are passed over and counted", async () => {
  const checker = new Checker();
  const ring = open({ onBatch: checker.check });
  produce(10_000, 64, 10);
  await ring.close();
  expect(checker.count).toBe(9000);
  expect(checker.gaps).toBe(1000);
  expect(ring.stats().discarded).toBe(1000);
});

test("an event larger than a batch buffer is counted, not delivered and not in the way", async () => {
  const checker = new Checker();
  const ring = open({ onBatch: checker.check, batchBytes: 8192 });
  produce(3, 16_000);
  produce(5, 64);
  await ring.close();
  expect([checker.count, ring.stats().oversized]).toEqual([5, 3]);
});

test("events of every size survive the ring's wrap-around", async () => {
  const checker = new Checker();
  const ring = open({ onBatch: checker.check });
  for (let size = 16; size <= 16_000; size += 37) {
    produce(20, size);
    await until(() => ring.stats().ringBytesWaiting < 2 ** 20);
  }
  await ring.close();
  expect(checker.wrong).toBe(0);
  expect(checker.count).toBe(variable("seq"));
  expect(ring.stats().bytes).toBeGreaterThan(8 * 2 ** 20);
});

describe("a batch", () => {
  test("is empty once its handler is done, so that a view kept by mistake shows nothing", async () => {
    let kept: RingBatch | undefined;
    const ring = open({
      onBatch: batch => {
        kept ??= batch;
      },
    });
    produce(3);
    await ring.close();
    expect(kept?.bytes.length).toBe(0);
    expect(kept?.offsets.length).toBe(0);
    expect(() => kept?.bytes.readBigUInt64LE(0)).toThrow();
  });

  test("follows the one before only when that is done", async () => {
    let running = 0;
    let most = 0;
    const ring = open({
      batchBytes: 4096,
      onBatch: async () => {
        most = Math.max(most, ++running);
        await sleep(1);
        running--;
      },
    });
    for (let turn = 0; turn < 20; turn++) produce(100, 64);
    await ring.close();
    expect(most).toBe(1);
    expect(ring.stats().events).toBe(2000);
  });

  test("gives each event's own bytes", async () => {
    const lengths: number[] = [];
    const ring = open({
      onBatch: batch => {
        for (let index = 0; index < batch.count; index++) lengths.push(batch.event(index).length);
      },
    });
    produce(1, 16);
    produce(1, 1001);
    produce(1, 24);
    await ring.close();
    expect(lengths).toEqual([16, 1001, 24]);
  });
});

test("what a handler throws or rejects with reaches onError, and the next batch still comes", async () => {
  const errors: unknown[] = [];
  let calls = 0;
  const ring = open({
    onBatch: async () => {
      if (++calls === 1) throw new Error("rejected");
    },
    onError: error => errors.push((error as Error).message),
  });
  produce(1);
  await until(() => calls === 1 && ring.stats().batchesInFlight === 0);
  produce(1);
  await until(() => calls === 2);
  await ring.close();
  const thrower = open({
    onBatch: () => {
      throw new Error("thrown");
    },
    onError: error => errors.push((error as Error).message),
  });
  produce(1);
  await thrower.close();
  expect(errors).toEqual(["rejected", "thrown"]);
});

describe("closing", () => {
  test("hands over everything that was committed before it", async () => {
    const checker = new Checker();
    const ring = open({ onBatch: checker.check });
    produce(50_000);
    await ring.close();
    expect(checker.count).toBe(50_000);
  });
  test("twice is one closing, and after destroy it is done at once", async () => {
    const ring = open({ onBatch: () => {} });
    await Promise.all([ring.close(), ring.close()]);
    await ring.close();
    ring.destroy();
    const other = open({ onBatch: () => {} });
    other.destroy();
    other.destroy();
    await other.close();
    expect(other.stats().events).toBe(0);
  });
  test("by destroy leaves what was not taken to the next reader", async () => {
    const first = open({ onBatch: () => new Promise<void>(() => {}) });
    first.destroy();
    produce(100);
    const checker = new Checker();
    const second = open({ onBatch: checker.check });
    await second.close();
    expect(checker.count).toBe(100);
  });
});

describe("opening refuses", () => {
  test("a map that is no ring buffer", () => {
    const map = BpfMap.create({ name: "hash", type: "hash", keySize: 4, valueSize: 4, maxEntries: 1 });
    expect(() => RingBuffer.open(map, { onBatch: () => {} })).toThrow(/'hash' is not a ring buffer/);
  });
  test("buffers too few or too small to work with", () => {
    expect(() => open({ onBatch: () => {}, buffers: 1 })).toThrow(/at least 2 buffers/);
    expect(() => open({ onBatch: () => {}, batchBytes: 100 })).toThrow(/at least 4096 bytes/);
  });
});

test("an idle reader sleeps: no wake-up without an event", async () => {
  const ring = open({ onBatch: () => {} });
  produce(10);
  await until(() => ring.stats().events === 10);
  const before = ring.stats().wakeups;
  await sleep(200);
  expect(ring.stats().wakeups).toBe(before);
  await ring.close();
});
