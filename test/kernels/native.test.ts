// The loader's cases on the running kernel: each line it prints is one guarantee.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));
const missing =
  process.getuid?.() !== 0
    ? "root"
    : !existsSync("/sys/kernel/btf/vmlinux")
      ? "a kernel with BTF"
      : undefined;
if (missing) console.warn(`kernel programs NOT tested: this needs ${missing}`);

test.skipIf(missing)(
  "on this kernel every message of either protocol is framed, judged, replaced and told exactly",
  () => {
    execFileSync("make", ["-s", "objects", "build/loader"], { cwd: here, stdio: "inherit" });
    const { stdout, stderr } = spawnSync("make", ["-s", "check"], { cwd: here, encoding: "latin1" });
    const lines = stdout.split("\n");
    expect(
      lines.filter(line => line.startsWith("FAIL") || line.startsWith("  line")),
      stderr,
    ).toEqual([]);
    expect(lines.filter(line => line.startsWith("ok")).length, stdout + stderr).toBeGreaterThan(60);
  },
  180_000,
);

test.skipIf(missing)(
  "on this kernel what nobody has judged is held, told, and given back in order or replaced, whatever fails",
  () => {
    execFileSync("make", ["-s", "objects", "build/hold", "build/keeper"], { cwd: here, stdio: "inherit" });
    const { stdout, stderr } = spawnSync("make", ["-s", "check-hold"], { cwd: here, encoding: "latin1" });
    const lines = stdout.split("\n");
    expect(
      lines.filter(line => line.startsWith("FAIL") || line.startsWith("  line")),
      stderr,
    ).toEqual([]);
    expect(lines.filter(line => line.startsWith("ok")).length, stdout + stderr).toBeGreaterThan(30);
  },
  180_000,
);
