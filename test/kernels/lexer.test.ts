// The lexer in the kernel against the same header in user space: random and mutated statements, every dialect and
// session, must give the same fingerprint and the same danger. PICKET_LEXER_STATEMENTS says how many.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BpfObject } from "@picket/native/bpf";
import { judgeBatch, randomHashKey } from "@picket/native/lexer";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const missing =
  process.getuid?.() !== 0
    ? "root"
    : !existsSync("/sys/kernel/btf/vmlinux")
      ? "a kernel with BTF"
      : undefined;
if (missing) console.warn(`the lexer in the kernel was NOT compared: this needs ${missing}`);

const statements = Number(process.env.PICKET_LEXER_STATEMENTS ?? 20_000);
const headBytes = 32;
const statementBytesMax = 700;

/** Small, seeded (xorshift32), so that a failure can be repeated. */
function randomOf(seed: number) {
  let state = seed | 1;
  return (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const seeds = readFileSync(join(root, "test/corpus/fingerprint/shapes.txt"), "utf8")
  .split("\n")
  .flatMap(line => /^(?:mysql|pg) \S+: (.*)$/.exec(line)?.[1] ?? [])
  .map(text => text.replaceAll("\\n", "\n").replaceAll("\\\\", "\\"));
const pieces = [
  ..."' \" ` \\ -- # /* */ /*! $$ $a$ ; , ( ) = 1 0x 0b . e N' x' E' ? $1 :: \n \r \t \0 \xa0 \xff é".split(
    " ",
  ),
  ...[
    "in (1,2)",
    "values (1,'a'),(2,'b')",
    "union select",
    "savepoint sp1",
    "set",
    "do",
    "prepare",
    "or 1=1",
  ],
];

function statementOf(random: (below: number) => number): Buffer {
  let text = seeds[random(seeds.length)] ?? "";
  if (random(4) === 0)
    text = Array.from({ length: 1 + random(30) }, () => pieces[random(pieces.length)]).join("");
  for (let i = random(6); i > 0; i--) {
    const at = random(text.length + 1);
    const piece = random(3) === 0 ? String.fromCharCode(random(256)) : (pieces[random(pieces.length)] ?? "");
    text = text.slice(0, at) + piece + text.slice(at + (random(2) ? random(4) : 0));
  }
  if (random(16) === 0) text = text.repeat(1 + random(12));
  return Buffer.from(text, random(2) ? "latin1" : "utf8").subarray(0, statementBytesMax);
}

test.skipIf(missing)(
  `${statements} statements have the same fingerprint in the kernel and in user space`,
  () => {
    const object = join(root, "test/kernels/build/lexer_diff.bpf.o");
    mkdirSync(join(root, "test/kernels/build"), { recursive: true });
    const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
    execFileSync("clang-14", [
      ...["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", `-I/usr/include/${multiarch}`],
      ...[
        "-I",
        join(root, "packages/bpf/src"),
        "-c",
        join(root, "test/kernels/lexer_diff.bpf.c"),
        "-o",
        object,
      ],
    ]);
    const bpf = BpfObject.open(readFileSync(object), { name: "lexer_diff" });
    try {
      bpf.load();
      const program = bpf.program("lexer_diff");
      const seed = randomBytes(4).readUInt32LE();
      const random = randomOf(seed);
      const key = randomHashKey();
      let neverKnown = 0;
      for (let i = 0; i < statements; i++) {
        const sql = statementOf(random);
        const [dialect, session] = [random(2) + 1, random(64)];
        const packet = Buffer.alloc(headBytes + sql.length);
        packet.writeBigUInt64LE(key.key, 0);
        packet.writeBigUInt64LE(key.start, 8);
        packet.writeUInt32LE(dialect, 16);
        packet.writeUInt32LE(session, 20);
        packet.writeUInt32LE(sql.length, 24);
        sql.copy(packet, headBytes);
        const { returned, data } = program.testRun({ data: packet, dataOutBytes: packet.length });
        const { fingerprints, danger } = judgeBatch(sql, Uint32Array.of(0, sql.length), {
          dialect: dialect === 1 ? "mysql" : "pg",
          session,
          key,
        });
        const inKernel = [returned, data?.readUInt32LE(12), data?.readBigUInt64LE(0), data?.readUInt32LE(8)];
        const inUserSpace = [0, sql.length, fingerprints[0], danger[0]];
        if (inKernel.join() !== inUserSpace.join())
          expect(inKernel, `seed ${seed}, statement ${i}: ${JSON.stringify(sql.toString("latin1"))}`).toEqual(
            inUserSpace,
          );
        if (fingerprints[0] === 0n) neverKnown++;
      }
      // Both sides of the fence were visited.
      expect(neverKnown).toBeGreaterThan(statements / 20);
      expect(statements - neverKnown).toBeGreaterThan(statements / 20);
    } finally {
      bpf.close();
    }
  },
  600_000,
);
