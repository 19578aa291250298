import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BtfError, fieldOf, kernelField, readBtf, readKernelBtf } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "picket-btf-"));
afterAll(() => rmSync(folder, { recursive: true }));

function compile(source: string, ...options: string[]): Buffer {
  const input = join(folder, "types.c");
  const output = join(folder, "types.o");
  writeFileSync(input, source);
  execFileSync("clang", ["-O2", "-target", "bpf", ...options, "-c", input, "-o", output]);
  return readFileSync(output);
}

const object = compile(
  `typedef unsigned char u8;
   enum color { RED, GREEN = 5, LAST = 0xffffffff };
   struct point { int x, y; };
   struct shape {
     const char *name;
     struct point corners[4];
     union { int as_int; struct { u8 low; u8 high; }; };
     struct { struct point inner; } named;
     unsigned flag : 1, level : 3, rest : 28;
     enum color color;
     int (*callback)(struct shape *, int);
     double ratio; _Bool yes;
     volatile const u8 bytes[];
   } shape;
   int counter __attribute__((section(".data")));
   int look(struct point *point) { return point->x + counter; }`,
  "-g",
);
const btf = readBtf(object);

describe("types of an object", () => {
  const fields: [string, number, number, string][] = [
    ["name", 0, 64, "const char *"],
    ["corners", 64, 256, "struct point[4]"],
    ["as_int", 320, 32, "int"],
    ["low", 320, 8, "u8"],
    ["high", 328, 8, "u8"],
    ["named.inner.y", 384, 32, "int"],
    ["flag", 416, 1, "unsigned int"],
    ["level", 417, 3, "unsigned int"],
    ["rest", 420, 28, "unsigned int"],
    ["callback", 512, 64, "function *"],
  ];
  for (const [name, offsetBits, sizeBits, type] of fields)
    test(`field ${name} lies where the compiler put it`, () => {
      expect(fieldOf(btf, "shape", name)).toMatchObject({ offsetBits, sizeBits, type });
    });

  test("enums and structs have their values and sizes", () => {
    expect(btf.find("enum", "color")!.values.map(({ value }) => value)).toEqual([0n, 5n, 0xffffffffn]);
    expect(btf.find("struct", "shape")!.size).toBe(btf.sizeOf(btf.find("struct", "shape")!.id));
  });
  test("functions, variables and sections are read", () => {
    expect(btf.find("function", "look")).toBeDefined();
    expect(btf.find("variable", "counter")).toBeDefined();
    expect(btf.find("section", ".data")!.variables).toHaveLength(1);
  });
  test("every type decodes, and has the layout that bpftool prints", () => {
    expect([...btf.types()]).toHaveLength(btf.typeCount - 1);
    const raw = execFileSync("bpftool", ["btf", "dump", "file", join(folder, "types.o"), "format", "raw"], {
      encoding: "utf8",
    });
    const structs = [...raw.matchAll(/^\[(\d+)\] STRUCT '(\w+)' size=(\d+) vlen=(\d+)/gm)];
    expect(structs.length).toBeGreaterThan(1);
    for (const [, id, name, size, members] of structs)
      expect(btf.type(Number(id))).toMatchObject({
        kind: "struct",
        name,
        size: Number(size),
        members: { length: Number(members) },
      });
  });
});

describe("the running kernel", () => {
  test("places the fields of struct sock and task_struct where bpftool does", () => {
    const raw = execFileSync("bpftool", ["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw"], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    for (const [struct, field] of [
      ["sock", "sk_protocol"],
      ["sock", "sk_cgrp_data"],
      ["tcp_sock", "srtt_us"],
      ["task_struct", "comm"],
    ] as const) {
      const body = new RegExp(`STRUCT '${struct}' size=\\d+ vlen=\\d+\\n((?:\\t.*\\n)*)`).exec(raw)![1]!;
      const offset = Number(new RegExp(`'${field}' type_id=\\d+ bits_offset=(\\d+)`).exec(body)![1]);
      expect(kernelField(struct, field).offsetBits).toBe(offset);
    }
  });
  test("has signed and 64-bit enums, which keep their values", () => {
    // clang 14 writes neither; pahole, which makes the kernel's BTF, does.
    const enums = [...readBtf("kernel").types()].filter(type => type.kind === "enum");
    const values = new Map(
      enums.flatMap(type => type.values.map(({ name, value }) => [name, value] as const)),
    );
    expect(values.get("BPF_F_CTXLEN_MASK")).toBe(0xfffffn << 32n);
    expect(enums.some(type => type.signed && type.values.some(({ value }) => value < 0n))).toBe(true);
  });
  test("resolves through anonymous unions and dotted paths, with width and type", () => {
    // skc_daddr stands in an anonymous struct in an anonymous union of __sk_common.
    const address = kernelField("sock", "__sk_common.skc_daddr");
    expect(address).toMatchObject({ sizeBits: 32, type: "__be32", bitfield: false });
    expect(kernelField("sock_common", "skc_daddr").offsetBits).toBe(address.offsetBits);
    expect(kernelField("task_struct", "comm")).toMatchObject({ sizeBits: 128, type: "char[16]" });
    expect(kernelField("sock", "sk_kern_sock")).toMatchObject({ sizeBits: 1, bitfield: true });
  });
});

describe("what cannot be answered says why", () => {
  const cases: [string, () => unknown, string, RegExp][] = [
    [
      "a kernel without BTF",
      () => readKernelBtf("/nowhere/vmlinux"),
      "BTF_NOT_AVAILABLE",
      /no BTF at \/nowhere\/vmlinux: run a kernel built with CONFIG_DEBUG_INFO_BTF=y/,
    ],
    [
      "a BTF path that is a directory",
      () => readKernelBtf("/sys/kernel"),
      "BTF_NOT_AVAILABLE",
      /could not read.*\/sys\/kernel.*EISDIR/,
    ],
    [
      "an object without debug information",
      () => readBtf(compile("int x = 1;")),
      "BTF_NOT_AVAILABLE",
      /no \.BTF section: compile it with -g/,
    ],
    [
      "an unknown struct",
      () => kernelField("no_such_struct", "x"),
      "BTF_NOT_FOUND",
      /no struct "no_such_struct"/,
    ],
    [
      "an unknown field, with those there are",
      () => fieldOf(btf, "point", "z"),
      "BTF_NOT_FOUND",
      /"point" has no field "z".*x, y/,
    ],
    [
      "a path through what is no struct",
      () => fieldOf(btf, "shape", "name.x"),
      "BTF_NOT_FOUND",
      /"shape.name" is a const char \*/,
    ],
    ["bytes that are no BTF", () => readBtf(Buffer.alloc(100, 1)), "BTF_MALFORMED", /magic 0x101/],
    ["no bytes", () => readBtf(Buffer.alloc(0)), "BTF_MALFORMED", /no header/],
    [
      "big-endian BTF",
      () => readBtf(Buffer.concat([Buffer.from([0xeb, 0x9f]), Buffer.alloc(30)])),
      "BTF_MALFORMED",
      /little-endian/,
    ],
  ];
  for (const [what, act, code, message] of cases)
    test(what, () => {
      let error: BtfError | undefined;
      try {
        act();
      } catch (caught) {
        error = caught as BtfError;
      }
      expect(error).toBeInstanceOf(BtfError);
      expect(error?.code).toBe(code);
      expect(error?.message).toMatch(message);
    });
});

test("bytes cut short or altered anywhere are refused as malformed, never with another error", () => {
  // A fixed sequence, so that a failure can be repeated.
  let state = 12345;
  const random = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state % limit;
  };
  let refused = 0;
  for (let turn = 0; turn < 3000; turn++) {
    const bytes = Buffer.from(turn % 3 === 0 ? object.subarray(0, random(object.length)) : object);
    for (let change = 0; change < 4 && bytes.length > 0; change++) bytes[random(bytes.length)] = random(256);
    try {
      const altered = readBtf(bytes);
      for (const type of altered.types()) if (type.kind === "struct") altered.sizeOf(type.id);
      fieldOf(altered, "shape", "level");
    } catch (error) {
      expect(error).toBeInstanceOf(BtfError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(500);
});
