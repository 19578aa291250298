import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { objectBytes, objectPath } from "../../test/objects.ts";
import { BpfError, type BpfLink, type BpfMap, BpfObject, RingBuffer, u32, u64 } from "./index.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
const bytes = objectBytes("handles");
const open = () => BpfObject.open(bytes, { name: "handles" }).load();
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** How many descriptors of maps, programs, links and rings this process holds. */
function kernelHandles(): number {
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd"))
    try {
      if (/^anon_inode:.*bpf/.test(readlinkSync(`/proc/self/fd/${fd}`))) count++;
    } catch {}
  return count;
}

/** Collects until `met`; finalisers run between turns of the event loop. */
async function collectUntil(met: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !met(); turn++) {
    gc();
    await new Promise(setImmediate);
  }
  expect(met()).toBe(true);
}

/** The count without what earlier tests left to the collector. */
async function settledHandles(): Promise<number> {
  for (let turn = 0; turn < 20; turn++) {
    gc();
    await new Promise(setImmediate);
  }
  return kernelHandles();
}

const runs = (map: BpfMap<number, bigint>) => Number(map.get(2));
const execs = (object: BpfObject) => object.map("counters").as({ key: u32, value: u64 });
const spawnTrue = () => promisify(execFile)("/bin/true");

describe("after close", () => {
  test("closing again does nothing, whatever the handle", () => {
    const object = open();
    const map = object.map("pairs");
    const link = object.program("on_exec").attach();
    const program = object.program("run");
    for (const handle of [link, map, program, object]) {
      handle.close();
      handle.close();
    }
  });

  const cases: [string, (object: BpfObject, link: BpfLink) => unknown, string][] = [
    ["an object", object => object.program("run"), "object 'handles' is closed"],
    ["a map of an object", object => object.map("pairs"), "object 'handles' is closed"],
    ["loading", object => object.load(), "object 'handles' is closed"],
    ["a link", (_, link) => link.info(), "the link of program 'on_exec' is closed"],
    ["pinning a link", (_, link) => link.pin("/sys/fs/bpf/x"), "the link of program 'on_exec' is closed"],
  ];
  for (const [what, use, message] of cases)
    test(`using ${what} says that it is closed`, () => {
      const object = open();
      const link = object.program("on_exec").attach();
      object.close();
      expect(() => use(object, link)).toThrow(message);
      expect(() => use(object, link)).toThrow(BpfError);
    });

  test("a program says which object was closed", () => {
    const object = open();
    const program = object.program("run");
    object.close();
    expect(() => program.testRun()).toThrow("program 'run': its object 'handles' is closed");
    expect(() => program.fd).toThrow(expect.objectContaining({ code: "BPF_CLOSED" }));
  });

  test("a map of a closed object goes on working until it is closed itself", () => {
    const object = open();
    const map = object.map("counters").as({ key: u32, value: u64 });
    object.close();
    map.set(1, 5n);
    expect(map.get(1)).toBe(5n);
    map.close();
    expect(() => map.get(1)).toThrow("map 'counters' is closed");
    expect(() => [...map.entries()]).toThrow(expect.objectContaining({ code: "BPF_CLOSED" }));
  });

  test("an object closed while its links live detaches them first", async () => {
    const object = open();
    const counts = execs(object);
    const link = object.program("on_exec").attach();
    await spawnTrue();
    const before = runs(counts);
    expect(before).toBeGreaterThan(0);
    object.close();
    expect(link.isOpen).toBe(false);
    await spawnTrue();
    expect(runs(counts)).toBe(before);
    link.close();
  });
});

describe("what nobody holds is collected", () => {
  test("opening and closing for ever leaks no descriptor", async () => {
    open().close();
    const before = await settledHandles();
    for (let turn = 0; turn < 30; turn++) {
      const object = open();
      object.program("on_exec").attach();
      object.map("pairs").close();
      object.close();
    }
    expect(kernelHandles()).toBe(before);
  });

  test("an object with programs, maps and links goes, links first", async () => {
    const before = await settledHandles();
    (() => {
      const object = open();
      object.program("on_exec").attach();
      object.program("on_message").attachSkMsg(object.map("sockets"));
      expect(kernelHandles()).toBeGreaterThan(before + 10);
    })();
    await collectUntil(() => kernelHandles() === before);
  });

  test("a link that nobody holds stays attached while its object is held", async () => {
    const object = open();
    object.program("on_exec").attach();
    for (let turn = 0; turn < 10; turn++) {
      gc();
      await new Promise(setImmediate);
    }
    await spawnTrue();
    expect(runs(execs(object))).toBeGreaterThan(0);
    object.close();
  });

  test("an open ring buffer reader is not collected, held or not, until it is closed", async () => {
    const before = await settledHandles();
    const object = BpfObject.open(objectBytes("ring"), { name: "ring" }).load();
    let seen = 0;
    let close = async () => {};
    (() => {
      const ring = RingBuffer.open(object.map("events"), {
        onBatch: batch => {
          seen += batch.count;
          close = () => ring.close();
        },
      });
    })();
    const context = Buffer.alloc(12);
    context.writeUInt32LE(10, 0);
    context.writeUInt32LE(64, 4);
    for (let turn = 1; turn <= 5; turn++) {
      await settledHandles();
      object.program("produce").testRun({ context });
      while (seen < 10 * turn) await new Promise(setImmediate);
    }
    await close();
    object.close();
    await collectUntil(() => kernelHandles() === before);
  });

  test("a held link keeps working when its object is collected", async () => {
    const { link, counts } = (() => {
      const object = open();
      return { link: object.program("on_exec").attach(), counts: execs(object) };
    })();
    for (let turn = 0; turn < 10; turn++) {
      gc();
      await new Promise(setImmediate);
    }
    await spawnTrue();
    expect(runs(counts)).toBeGreaterThan(0);
    link.close();
    const before = runs(counts);
    await spawnTrue();
    expect(runs(counts)).toBe(before);
  });
});

describe("worker threads", () => {
  const start = (events: number) =>
    // A thread started here has no TypeScript loader: it registers one first.
    new Worker(
      `import("tsx/esm/api").then(api => { api.register(); return import(${JSON.stringify(path("../../test/worker.ts"))}); })`,
      { eval: true, workerData: { bytes: objectBytes("ring"), events } },
    );

  test("several load the addon at once, each with its own objects and errors, and end in mid-stream", async () => {
    const before = await settledHandles();
    const workers = [1000, 5000, 20_000].map(start);
    const messages = workers.map(worker => once(worker, "message"));
    const object = open();
    for (const message of messages) expect(await message).toEqual([{ enough: true, error: true }]);
    await Promise.all(workers.map(worker => worker.terminate()));
    expect(object.program("run").testRun().returned).toBe(7);
    object.close();
    expect(kernelHandles()).toBe(before);
  });

  test("terminated while it loads, a worker leaves the process alive", async () => {
    for (let turn = 0; turn < 5; turn++) {
      const worker = start(1000);
      await new Promise(resolve => setTimeout(resolve, 60 * turn));
      await worker.terminate();
    }
    expect(open().program("run").testRun().returned).toBe(7);
  });
});

describe("a process that ends with everything open", () => {
  const end = async (way: string) => {
    const child = execFile(
      process.execPath,
      ["--conditions=source", "--import", "tsx", path("../../test/exits.ts"), objectPath("ring"), way],
      { timeout: 20_000 },
    );
    let output = "";
    child.stdout!.on("data", chunk => {
      output += chunk;
    });
    child.stderr!.on("data", chunk => {
      output += chunk;
    });
    const [code, signal] = await once(child, "close");
    return { code, signal, output: stripVTControlCharacters(output) };
  };

  test("by process.exit ends cleanly", async () => {
    expect(await end("exit")).toEqual({ code: 0, signal: null, output: "" });
  });
  test("by having nothing else to do ends cleanly when the reader does not keep it alive", async () => {
    expect(await end("fall-off")).toMatchObject({ code: 0, signal: null });
  });
  test("stays alive for its reader until that is closed", async () => {
    expect(await end("wait")).toEqual({ code: 0, signal: null, output: "closed after 1000\n" });
  });
  test("prints nothing of what libbpf says about a broken object", async () => {
    expect(await end("refused")).toEqual({ code: 0, signal: null, output: "BpfError\nBpfError\n" });
  });
  test("by an error in a handler ends as any uncaught error does", async () => {
    const { code, output } = await end("throw");
    expect(code).toBe(1);
    expect(output).toContain("a handler's own fault");
  });
});
