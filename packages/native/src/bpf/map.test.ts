import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { bpfFileSystem } from "../../test/host.ts";
import { objectBytes } from "../../test/objects.ts";
import {
  BpfError,
  BpfMap,
  BpfObject,
  BpfProgram,
  bytes,
  i32,
  possibleCpus,
  u8,
  u32,
  u64,
  u64s,
} from "./index.ts";

const object = BpfObject.open(objectBytes("handles"), { name: "handles" }).load();
const pins = `${bpfFileSystem()}/picket-test-map-${process.pid}`;
mkdirSync(pins, { recursive: true });
afterAll(() => {
  object.close();
  rmdirSync(pins);
});

const hash = (type: "hash" | "lru_hash" | "percpu_hash" = "hash", maxEntries = 1000) =>
  BpfMap.create({ name: "test", type, keySize: 4, valueSize: 8, maxEntries });

function code(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return (error as BpfError).code;
  }
  return "none";
}

describe("a hash map", () => {
  const map = hash().as({ key: u32, value: u64 });

  test("gives back what was set, and nothing for what was not", () => {
    map.set(1, 0xffff_ffff_ffff_ffffn);
    expect(map.get(1)).toBe(0xffff_ffff_ffff_ffffn);
    expect(map.get(2)).toBeUndefined();
    expect([map.has(1), map.has(2)]).toEqual([true, false]);
  });
  test("says whether a deleted element was there", () => {
    map.set(3, 1n);
    expect([map.delete(3), map.delete(3)]).toEqual([true, false]);
  });
  test("creates only what is not there, replaces only what is", () => {
    map.set(5, 1n, "create");
    const twice = () => map.set(5, 2n, "create");
    expect(twice).toThrow(expect.objectContaining({ code: "BPF_MAP_FAILED", errno: "EEXIST" }));
    expect(() => map.set(6, 2n, "replace")).toThrow(expect.objectContaining({ errno: "ENOENT" }));
    map.set(5, 3n, "replace");
    expect(map.get(5)).toBe(3n);
  });
  test("is taken from in one step", () => {
    map.set(7, 70n);
    expect([map.take(7), map.take(7)]).toEqual([70n, undefined]);
  });
  test("says that it is full, with its size", () => {
    const small = hash("hash", 2).as({ key: u32, value: u64 });
    small.setMany([
      [1, 1n],
      [2, 2n],
    ]);
    expect(() => small.set(3, 3n)).toThrow(/full at 2 entries/);
    expect(code(() => small.set(3, 3n))).toBe("BPF_MAP_FULL");
  });
});

for (const type of ["hash", "lru_hash"] as const)
  test(`batches of a ${type} meet every element once`, () => {
    const map = hash(type, 50_000).as({ key: u32, value: u64 });
    const all = Array.from({ length: 20_000 }, (_, index) => [index, BigInt(index) * 3n] as const);
    map.setMany(all);
    const met = new Map(map.entries());
    expect(met.size).toBe(20_000);
    for (const [key, value] of all) expect(met.get(key)).toBe(value);
    expect(map.deleteMany([0, 1, 2, 60_000, 3])).toBe(4);
    expect([...map.keys()]).toHaveLength(19_996);
  });

test("a map of maps tells the ids of the maps inside", () => {
  const inner = hash();
  const outer = BpfMap.create({
    name: "outer",
    type: "hash_of_maps",
    keySize: 4,
    valueSize: 4,
    maxEntries: 8,
    innerMap: inner,
  }).as({ key: u32, value: u32 });
  for (const key of [1, 2, 3]) outer.setMap(key, inner);
  expect([...outer.entries()].sort()).toEqual([1, 2, 3].map(key => [key, inner.info.id]));
});

describe("an array map", () => {
  const map = object.map("counters").as({ key: u32, value: u64 });
  test("has every element from the start", () => {
    expect([...map.values()]).toEqual(Array(8).fill(0n));
  });
  test("refuses an index beyond its end", () => {
    expect(code(() => map.set(8, 1n))).toBe("BPF_BAD_INPUT");
    expect(map.get(8)).toBeUndefined();
  });
});

describe("a per-CPU map", () => {
  test("holds a value per possible CPU", () => {
    const map = hash("percpu_hash").perCpu({ key: u32, value: u64 });
    const values = Array.from({ length: possibleCpus() }, (_, cpu) => BigInt(cpu) + 10n);
    map.set(1, values);
    expect(map.get(1)).toEqual(values);
    expect([...map.entries()]).toEqual([[1, values]]);
  });
  test("splits values smaller than 8 bytes at the kernel's padding", () => {
    const map = object.map("percpu").perCpu({ key: u32, value: u32 });
    map.set(
      0,
      Array.from({ length: possibleCpus() }, (_, cpu) => cpu + 1),
    );
    expect(map.get(0)).toEqual(Array.from({ length: possibleCpus() }, (_, cpu) => cpu + 1));
    object.program("run").testRun();
    const sum = map.get(0)!.reduce((a, b) => a + b, 0);
    expect(sum).toBe((possibleCpus() * (possibleCpus() + 1)) / 2 + 1);
  });
  test("refuses another number of values than there are CPUs", () => {
    const map = object.map("percpu").perCpu({ key: u32, value: u32 });
    expect(() => map.set(0, [1])).toThrow(possibleCpus() === 1 ? "" : /elements/);
    expect(code(() => object.map("percpu").as({ key: u32, value: u32 }))).toBe("BPF_BAD_INPUT");
    expect(code(() => object.map("counters").perCpu({ key: u32, value: u64 }))).toBe("BPF_BAD_INPUT");
  });
});

describe("slots of a prog_array", () => {
  const run = () => object.program("dispatch").testRun({ data: Buffer.alloc(64) }).returned;
  const slots = object.map("slots");

  test("an update swaps the program, clearing falls through to the dispatcher", () => {
    expect(run()).toBe(100);
    slots.setProgram(1, object.program("slot_one"));
    expect(run()).toBe(101);
    slots.setProgram(1, object.program("slot_two"));
    expect(run()).toBe(102);
    expect([slots.clear(1), slots.clear(1)]).toEqual([true, false]);
    expect(run()).toBe(100);
  });
  test("a program of another kind is refused", () => {
    expect(code(() => slots.setProgram(1, object.program("enrol")))).toBe("BPF_MAP_FAILED");
  });
});

describe("codecs", () => {
  test("must have the map's sizes", () => {
    expect(() => hash().as({ key: u64, value: u64 })).toThrow(/its key has 4 bytes, the codec 8/);
    expect(() => hash().as({ key: u32, value: u32 })).toThrow(/its value has 8 bytes, the codec 4/);
  });
  test("raw bytes of the wrong length never reach the kernel", () => {
    expect(() => hash().get(Buffer.alloc(3))).toThrow(/key of map 'test' has 4 bytes, given 3/);
    expect(() => hash().set(Buffer.alloc(4), Buffer.alloc(9))).toThrow(/has 8 bytes, given 9/);
    expect(code(() => hash().get("text" as never))).toBe("BPF_BAD_INPUT");
  });
  test("give back what they took", () => {
    expect(u8.decode(Buffer.from(u8.encode(255)))).toBe(255);
    expect(i32.decode(Buffer.from(i32.encode(-5)))).toBe(-5);
    expect(bytes(2).decode(Buffer.from([1, 2]))).toEqual(Buffer.from([1, 2]));
    expect(u64s(2).decode(Buffer.from(u64s(2).encode([1n, 2n ** 63n])))).toEqual([1n, 2n ** 63n]);
  });
});

describe("pins", () => {
  test("a pinned map outlives its handle", () => {
    const map = hash().as({ key: u32, value: u64 });
    map.set(1, 11n);
    map.pin(`${pins}/map`);
    map.close();
    const again = BpfMap.openPinned(`${pins}/map`);
    expect(again.as({ key: u32, value: u64 }).get(1)).toBe(11n);
    again.unpin();
    expect(existsSync(`${pins}/map`)).toBe(false);
    again.unpin(`${pins}/map`);
  });
  test("a pinned program fills a slot after its object is gone", () => {
    const other = BpfObject.open(objectBytes("handles"), { name: "handles" }).load();
    other.program("slot_two").pin(`${pins}/program`);
    other.close();
    const program = BpfProgram.openPinned(`${pins}/program`);
    object.map("slots").setProgram(1, program);
    expect(object.program("dispatch").testRun({ data: Buffer.alloc(64) }).returned).toBe(102);
    expect(() => program.attach()).toThrow(/opened from a pin/);
    expect(code(() => BpfMap.openPinned(`${pins}/program`))).toBe("BPF_PIN_FAILED");
    program.unpin();
    program.close();
    program.close();
    expect(code(() => program.fd)).toBe("BPF_CLOSED");
    object.map("slots").clear(1);
  });
  test("a taken path and a missing pin are named", () => {
    const map = hash();
    map.pin(`${pins}/taken`);
    expect(() => hash().pin(`${pins}/taken`)).toThrow(/taken.*EEXIST/);
    map.unpin();
    expect(() => BpfMap.openPinned(`${pins}/taken`)).toThrow(/taken.*ENOENT/);
    expect(() => BpfProgram.openPinned(`${pins}/taken`)).toThrow(/ENOENT/);
  });
});

test("a frozen map can be read and no longer written", () => {
  const map = hash().as({ key: u32, value: u64 });
  map.set(1, 1n);
  map.freeze();
  expect(map.get(1)).toBe(1n);
  expect(code(() => map.set(1, 2n))).toBe("BPF_NO_PERMISSION");
});
