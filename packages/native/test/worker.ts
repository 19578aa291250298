import { parentPort, workerData } from "node:worker_threads";
import { BpfError, BpfObject, RingBuffer } from "../src/bpf/index.ts";

/*
 * A worker thread that loads an object of its own, reads `events` events from its ring, reports how many it
 * saw, and goes on producing until it is terminated.
 */

const { bytes, events } = workerData as { bytes: Uint8Array; events: number };
const object = BpfObject.open(bytes, { name: "ring" }).load();
let seen = 0;
let told = false;
const ring = RingBuffer.open(object.map("events"), {
  onBatch: batch => {
    seen += batch.count;
    if (told || seen < events) return;
    told = true;
    parentPort!.postMessage({ enough: true, error: refusal() });
  },
});

function produce(count: number): void {
  const context = Buffer.alloc(12);
  context.writeUInt32LE(count, 0);
  context.writeUInt32LE(64, 4);
  object.program("produce").testRun({ context });
}

/** The error class is this thread's own. */
function refusal(): boolean {
  try {
    object.map("nowhere");
  } catch (error) {
    return error instanceof BpfError;
  }
  return false;
}

for (let left = events; left > 0; left -= 1000) produce(Math.min(1000, left));
setInterval(() => produce(1000), 1);
// Not closed on purpose: the thread ends with its ring full of life.
void ring;
