import { afterAll, describe, expect, test } from "vitest";
import { objectBytes } from "../../test/objects.ts";
import { BpfError, BpfMap, BpfObject, u32, u64 } from "./index.ts";

const bytes = objectBytes("handles");
const open = (options = {}) => BpfObject.open(bytes, { name: "handles", ...options });

function refusal(act: () => unknown): BpfError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  }
  throw new Error("it was not refused");
}

describe("an object is opened, configured and loaded", () => {
  const object = open({ rodata: { answer: 42 }, maxEntries: { pairs: 10 } }).load();
  afterAll(() => object.close());

  test("a variable set before load is what the program sees", () => {
    expect(object.program("run").testRun().returned).toBe(42);
  });
  test("a variable that the kernel wrote can be read by name", () => {
    object.program("run").testRun();
    expect(object.readVariable("written_by_kernel").readBigUInt64LE()).toBe(0x1122334455667788n);
  });
  test("a map has the size that was asked for", () => {
    expect(object.map("pairs").info.maxEntries).toBe(10);
  });
  test("a program tells what it is and how much the verifier walked", () => {
    const program = object.program("enrol");
    expect(program.type).toBe("sock_ops");
    expect(program.section).toBe("sockops");
    expect(program.verifiedInstructions).toBeGreaterThan(10);
    expect(program.info().tag).toMatch(/^[0-9a-f]{16}$/);
  });
  test("run time is counted while statistics are on", async () => {
    const { enableRunTimeStats } = await import("./index.ts");
    const stats = enableRunTimeStats();
    const before = object.program("dispatch").info().runCount;
    object.program("dispatch").testRun({ data: Buffer.alloc(64), repeat: 10 });
    stats.close();
    stats.close();
    expect(object.program("dispatch").info().runCount - before).toBe(10n);
  });
});

test("loading off the JavaScript thread gives the same object", async () => {
  const object = open({ rodata: { answer: 5n } });
  const loading = object.loadAsync();
  expect(refusal(() => object.close()).code).toBe("BPF_BUSY");
  expect(refusal(() => object.program("run").fd).code).toBe("BPF_BUSY");
  await loading;
  expect(object.program("run").testRun().returned).toBe(5);
  object.close();
});

test("two objects share a map that was given for reuse", () => {
  const shared = BpfMap.create({ name: "shared", type: "array", keySize: 4, valueSize: 8, maxEntries: 8 });
  const objects = [1, 2].map(() => open({ mapReuse: { counters: shared } }).load());
  expect(new Set(objects.map(object => object.map("counters").info.id))).toEqual(new Set([shared.info.id]));
  objects[0]!.map("counters").as({ key: u32, value: u64 }).set(3, 99n);
  expect(objects[1]!.map("counters").as({ key: u32, value: u64 }).get(3)).toBe(99n);
  for (const object of objects) object.close();
});

test("a program whose autoload is off is not loaded, and says so when used", () => {
  const object = open({ autoload: { on_exec: false } }).load();
  const error = refusal(() => object.program("on_exec").attach());
  expect(error.code).toBe("BPF_NOT_LOADED");
  expect(error.message).toContain("on_exec");
  object.close();
});

describe("what is wrong is said with its name", () => {
  const cases: [string, () => unknown, string, string][] = [
    [
      "bytes that are no object",
      () => BpfObject.open(Buffer.from("nonsense"), { name: "x" }),
      "BPF_OPEN_FAILED",
      "x",
    ],
    ["an unknown variable", () => open({ rodata: { nothing: 1 } }), "BPF_NOT_FOUND", "nothing"],
    [
      "a number too big for its variable",
      () => open({ rodata: { answer: 2 ** 32 } }),
      "BPF_BAD_INPUT",
      "answer",
    ],
    [
      "a wrong section size",
      () => open({ rodata: { ".rodata": new Uint8Array(3) } }),
      "BPF_BAD_INPUT",
      ".rodata",
    ],
    ["an unknown map", () => open({ maxEntries: { nowhere: 1 } }), "BPF_NOT_FOUND", "nowhere"],
    ["an unknown program", () => open({ autoload: { nobody: false } }), "BPF_NOT_FOUND", "nobody"],
    ["a map before load", () => open().map("pairs"), "BPF_NOT_LOADED", "pairs"],
    ["a program before load", () => open().program("run").fd, "BPF_NOT_LOADED", "run"],
    ["configuration after load", () => open().load().load(), "BPF_BAD_INPUT", "is loaded"],
    [
      "a reused map of another shape",
      () => {
        const map = BpfMap.create({ name: "odd", type: "array", keySize: 4, valueSize: 4, maxEntries: 8 });
        return open({ mapReuse: { counters: map } }).load();
      },
      "BPF_BAD_INPUT",
      "value bytes 4, wanted 8",
    ],
  ];
  for (const [what, act, code, text] of cases)
    test(what, () => {
      const error = refusal(act);
      expect(error.code).toBe(code);
      expect(error.message).toContain(text);
    });
});

describe("a program that the verifier refuses", () => {
  const refused = () => BpfObject.open(objectBytes("refused"), { name: "refused" });

  test("is named, with the reason and the whole log", () => {
    const error = refusal(() => refused().load());
    expect(error).toMatchObject({
      code: "BPF_VERIFIER_REFUSED",
      step: "load",
      errno: "EACCES",
      program: "unchecked",
    });
    expect(error.message).toContain("invalid mem access 'map_value_or_null'");
    expect(error.verifierLog).toContain("call bpf_map_lookup_elem");
    expect(error.lastLines(2)).toHaveLength(2);
    expect(error.lastLines(1)[0]).toMatch(/^processed \d+ insns/);
  });
  test("is told the same way when loaded off the thread", async () => {
    const error = await refused()
      .loadAsync()
      .then(
        () => undefined,
        error => error,
      );
    expect(error).toBeInstanceOf(BpfError);
    expect(error).toMatchObject({ code: "BPF_VERIFIER_REFUSED", program: "unchecked" });
  });
  test("leaves the others loadable when its autoload is off", () => {
    const object = BpfObject.open(objectBytes("refused"), {
      name: "refused",
      autoload: { unchecked: false },
    }).load();
    expect(object.program("fine").testRun({ data: Buffer.alloc(64) }).returned).toBe(0);
    object.close();
  });
});
