import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { executablePath } from "../../test/objects.ts";
import { readBtf } from "../btf/index.ts";
import * as events from "../events.generated.ts";
import { generate, objectsIn } from "./generate.ts";
import { readHeader } from "./header.ts";
import { buildModel, ModelError } from "./model.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const header = path("../../../bpf/src/event.h");
const c = executablePath("events");
const folder = mkdtempSync(join(tmpdir(), "picket-generate-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Values that C holds in the struct of these bytes. */
function readByC(name: string, encoded: Uint8Array): Record<string, string> {
  const lines = execFileSync(c, ["read", name, Buffer.from(encoded).toString("hex")], { encoding: "utf8" });
  return Object.fromEntries(
    lines
      .trim()
      .split("\n")
      .map(line => line.split(" ") as [string, string]),
  );
}

const written = Object.fromEntries(
  execFileSync(c, ["write"], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map(line => {
      const [name, hex] = line.split(" ") as [string, string];
      return [name, Buffer.from(hex, "hex")];
    }),
) as { statement: Buffer; connection: Buffer };

describe("bytes written by C are read", () => {
  test("a statement event, with its text, bit-fields and nested structs", () => {
    const event = events.StatementEventView.of(written.statement).copy();
    expect({ ...event, text: Buffer.from(event.text).toString() }).toEqual({
      header: {
        seq: 0xfedcba9876543210n,
        timeNs: 123456789012345n,
        size: written.statement.length,
        cpu: 65000,
        kind: events.EventKind.STATEMENT,
        abi: events.ABI,
      },
      cookie: 0x8000000000000001n,
      statement: 42n,
      fingerprint: 0xffff_ffff_ffff_ffffn,
      scope: 0x1122334455667788n,
      incident: 0xabcdef012345n,
      process: { cgroupId: 77n, startNs: 88n, tgid: 4_000_000_000, tid: 99, comm: "full sixteen c." },
      endpoints: {
        localAddr: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1),
        remoteAddr: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
        localPort: 50123,
        remotePort: 3306,
        family: 2,
      },
      workload: 5,
      version: 6,
      danger: 0x80000001,
      textOffset: 7,
      textBytes: 40,
      statementBytes: 1_000_000,
      fragment: 0,
      rule: events.NO_RULE,
      protocol: events.Protocol.MYSQL,
      message: events.Message.FUNCTION_CALL,
      verdict: events.Verdict.PROBE,
      action: events.Action.BLOCK,
      guarantee: events.Guarantee.SEVERED,
      slot: 15,
      session: 3,
      first: true,
      last: false,
      substituted: true,
      adopted: false,
      sampled: true,
      text: "select * from users where name = 'café'",
    });
  });

  test("a connection event, with a two-bit enum between flags", () => {
    const event = events.ConnectionEventView.of(written.connection);
    expect(written.connection).toHaveLength(events.ConnectionEventView.size);
    expect(event.copy()).toMatchObject({
      cookie: 3n,
      lifetimeNs: 1n << 40n,
      srttUs: 250,
      oldState: 2,
      newState: 1,
      protocol: events.Protocol.POSTGRESQL,
      adopted: false,
      enrolled: true,
      workloadMode: events.WorkloadMode.ENFORCE,
      workload: 12,
    });
  });

  test("in place at any offset, by one view moved from event to event", () => {
    const both = Buffer.concat([Buffer.alloc(3), written.connection, Buffer.alloc(5), written.statement]);
    const view = new DataView(both.buffer, both.byteOffset, both.byteLength);
    const connection = new events.ConnectionEventView(view, 3);
    expect([connection.cookie, connection.header.kind]).toEqual([3n, events.EventKind.CONNECTION]);
    const statement = new events.StatementEventView(view).moveTo(view, 3 + written.connection.length + 5);
    expect([statement.statement, statement.process.comm, statement.endpoints.remotePort]).toEqual([
      42n,
      "full sixteen c.",
      3306,
    ]);
    expect(statement.text.buffer).toBe(both.buffer);
  });
});

describe("values written here are read by C", () => {
  test("a verdict", () => {
    const entry = {
      count: 5n,
      lastNs: 2n ** 63n,
      rule: events.NO_RULE,
      verdict: 2,
      action: 2,
      source: 3,
    } as const;
    const encoded = events.VerdictEntry.encode(entry);
    expect(readByC("verdict", encoded)).toEqual({
      size: String(events.VerdictEntry.size),
      ...Object.fromEntries(Object.entries(entry).map(([name, value]) => [name, String(value)])),
    });
    expect(events.VerdictEntry.decode(Buffer.from(encoded))).toEqual(entry);
  });
  test("the dispatcher's settings", () => {
    const settings = {
      salt: 1n,
      scopeSinceNs: 2n,
      stable: 3,
      candidate: 4,
      share: 10_000,
      newProcessesOnly: 1,
    };
    expect(readByC("dispatch", events.Dispatch.encode(settings))).toEqual({
      size: String(events.Dispatch.size),
      ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)])),
    });
  });
  test("bit-fields and text", () => {
    const event = { ...events.ConnectionEventView.of(written.connection).copy(), adopted: true, cookie: 9n };
    event.process = { ...event.process, comm: "été" };
    const encoded = events.ConnectionEvent.encode(event);
    expect(readByC("connection", encoded)).toMatchObject({
      cookie: "9",
      adopted: "1",
      enrolled: "1",
      workloadMode: "2",
      workload: "12",
      comm: "été",
    });
    expect(events.ConnectionEvent.decode(Buffer.from(encoded))).toEqual(event);
  });
  test("a value that does not fit is refused with its field, never cut", () => {
    const workload = { id: 1, mode: events.WorkloadMode.OBSERVE };
    expect(() => events.Workload.encode({ ...workload, id: 2 ** 32 })).toThrow(
      /picket_workload\.id: 4294967296/,
    );
    expect(() => events.Workload.encode({ ...workload, id: 1.5 })).toThrow(/not an integer/);
    expect(() => events.Dispatch.encode({ salt: -1n } as never)).toThrow(/picket_dispatch\.salt/);
    const owner = { process: { cgroupId: 0n, startNs: 0n, tgid: 0, tid: 0, comm: "x".repeat(16) } };
    expect(() => events.Owner.encode(owner as never)).toThrow(/longer than 15 bytes/);
  });
});

describe("npm run generate", () => {
  const model = () => {
    const { btf, structs, enums } = readHeader(header);
    return buildModel(btf, structs, enums);
  };

  test("the committed decoders are those of event.h and of the built objects", () => {
    const objects = objectsIn(path("../../../bpf/dist"));
    expect(objects).not.toEqual([]);
    expect(generate({ header, objects })).toBe(readFileSync(path("../events.generated.ts"), "utf8"));
  });

  test("a struct whose layout changed gives other decoders", () => {
    const changed = join(folder, "event.h");
    writeFileSync(
      changed,
      readFileSync(header, "utf8").replace("\t__u64 cookie;\n", "\t__u32 more;\n\t__u32 cookie;\n"),
    );
    expect(generate({ header: changed, objects: [] })).not.toBe(generate({ header, objects: [] }));
  });

  test("an object built from another header is refused, with both layouts", () => {
    const older = join(folder, "older.h");
    const object = join(folder, "older.bpf.o");
    writeFileSync(older, "struct picket_workload { unsigned id; unsigned more; unsigned char mode; } w;\n");
    execFileSync("clang", ["-g", "-O2", "-target", "bpf", "-x", "c", "-c", older, "-o", object]);
    expect(() => generate({ header, objects: [object] })).toThrow(ModelError);
    expect(() => generate({ header, objects: [object] })).toThrow(/12 bytes: id@0 more@4 mode@8/);
  });

  test("every struct and enum of the header is there", () => {
    const { structs, enums } = model();
    const names = (readFileSync(header, "utf8").match(/^(struct|enum) picket_\w+ \{/gm) ?? []).length;
    expect(structs.length + enums.length).toBe(names);
  });

  test("shapes that event.h does not have today are decoded too", () => {
    const source = join(folder, "shapes.h");
    const object = join(folder, "shapes.o");
    writeFileSync(
      source,
      `enum kind { A = -1, B = 2 };
       struct inner { short low; short high; };
       struct picket_shapes {
         long long signed_big; float ratio; double wide; _Bool flag; void *pointer;
         union { int as_int; unsigned char as_bytes[4]; };
         enum kind kind;
         struct inner list[3];
         unsigned grid[2];
         int negative : 5; unsigned long long far : 40; unsigned long long near : 20;
       } shapes;`,
    );
    execFileSync("clang", ["-g", "-O2", "-target", "bpf", "-x", "c", "-c", source, "-o", object]);
    const btf = readBtf(readFileSync(object));
    const { structs } = buildModel(btf, ["picket_shapes"], []);
    const byName = Object.fromEntries(structs.at(-1)!.fields.map(field => [field.name, field]));
    expect(structs.map(struct => struct.name)).toEqual(["inner", "picket_shapes"]);
    expect(byName.as_int).toMatchObject({ offset: 40, reading: { kind: "integer", size: 4, signed: true } });
    expect(byName.as_bytes).toMatchObject({ offset: 40, reading: { kind: "bytes", length: 4 } });
    expect(byName.list).toMatchObject({
      reading: { kind: "array", length: 3, stride: 4, element: { kind: "struct" } },
    });
    expect(byName.negative).toMatchObject({ reading: { kind: "bits", bits: 5, signed: true } });
    expect(byName.far).toMatchObject({ reading: { kind: "bits", bits: 40, size: 8 } });
  });

  test("generated code for such shapes gives back what it was given", async () => {
    const source = join(folder, "round.h");
    writeFileSync(
      source,
      `struct picket_part { unsigned short low; short high; };
struct picket_round {
	long long big;
	double wide;
	float half;
	_Bool flag;
	char name[7];
	struct picket_part list[2];
	unsigned grid[2];
	int negative : 5;
	unsigned rest : 27;
	unsigned long long far : 40;
	unsigned long long near : 24;
};
`,
    );
    const { btf } = readHeader(source);
    const { emit } = await import("./emit.ts");
    const text = emit(buildModel(btf, ["picket_round"], []), []);
    const module = join(folder, "round.ts");
    writeFileSync(
      module,
      text.replace('import type { Codec } from "./bpf/codec.ts";', "type Codec<T> = any;"),
    );
    const { Round, RoundView } = await import(module);
    const value = {
      big: -5n,
      wide: Math.PI,
      half: 0.5,
      flag: true,
      name: "abc",
      list: [
        { low: 1, high: -2 },
        { low: 65535, high: 3 },
      ],
      grid: [7, 8],
      negative: -16,
      rest: 2 ** 27 - 1,
      far: 2n ** 40n - 1n,
      near: 5n,
    };
    expect(RoundView.size).toBe(Round.size);
    expect(Round.decode(Buffer.from(Round.encode(value)))).toEqual(value);
  });
});
