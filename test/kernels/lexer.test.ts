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
import { randomOf, statementOf } from "../fuzz/lexer-statements.ts";

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

test.skipIf(missing)(
  `${statements} statements have the same fingerprint in the kernel and in user space`,
  () => {
    const object = join(root, "test/kernels/build/lexer_diff.bpf.o");
    mkdirSync(join(root, "test/kernels/build"), { recursive: true });
    const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
    execFileSync("clang", [
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
