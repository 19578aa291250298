import { readFileSync } from "node:fs";
import { BpfObject, RingBuffer } from "../src/bpf/index.ts";

/*
 * A process that ends in the way its second argument says, with everything open.
 */

const [, , path, way] = process.argv;
const object = BpfObject.open(readFileSync(path!), { name: "ring" }).load();
const context = Buffer.alloc(12);
context.writeUInt32LE(1000, 0);
context.writeUInt32LE(64, 4);

let seen = 0;
const ring = RingBuffer.open(object.map("events"), {
  onBatch: batch => {
    seen += batch.count;
    if (way === "throw") throw new Error("a handler's own fault");
    if (way === "wait" && seen >= 1000) void ring.close().then(() => console.log(`closed after ${seen}`));
  },
  keepAlive: way !== "fall-off",
});
object.program("produce").testRun({ context });
if (way === "exit") process.exit(0);
if (way === "refused") {
  // libbpf has much to say about this, and none of it may reach the terminal.
  for (const bytes of [Buffer.alloc(100), readFileSync(path!).subarray(0, 900)])
    try {
      BpfObject.open(bytes, { name: "broken" });
    } catch (error) {
      console.log((error as Error).name);
    }
  process.exit(0);
}
