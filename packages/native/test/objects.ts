import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * Compiles the test objects beside this file with clang, once per process, under build/ (which is ignored).
 */

const here = fileURLToPath(new URL(".", import.meta.url));
const output = fileURLToPath(new URL("../build/test/", import.meta.url));
const compiled = new Map<string, string>();

const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
const target = { x64: "x86", arm64: "arm64" }[process.arch as string] ?? process.arch;

/** Path of the object made from `<name>.bpf.c`. */
export function objectPath(name: string): string {
  let path = compiled.get(name);
  if (path === undefined) {
    mkdirSync(output, { recursive: true });
    path = join(output, `${name}.bpf.o`);
    execFileSync("clang", [
      ...["-g", "-O2", "-target", "bpf", `-D__TARGET_ARCH_${target}`, `-I/usr/include/${multiarch}`],
      ...["-I", join(here, "..", "..", "bpf", "src"), "-Wall", "-Werror"],
      ...["-c", join(here, `${name}.bpf.c`), "-o", path],
    ]);
    compiled.set(name, path);
  }
  return path;
}

export function objectBytes(name: string): Buffer {
  return readFileSync(objectPath(name));
}

/** Compiles `<name>.c` to an executable and returns its path. */
export function executablePath(name: string): string {
  mkdirSync(output, { recursive: true });
  const path = join(output, name);
  execFileSync("gcc", [
    "-O0",
    "-g",
    "-Wall",
    "-Werror",
    "-o",
    path,
    join(here, `${name}.c`),
    "-I",
    join(here, "..", "..", "bpf", "src"),
  ]);
  return path;
}
