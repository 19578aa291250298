import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Btf, readBtf } from "../btf/index.ts";

/*
 * The BTF of every type in event.h. The objects themselves keep only the types that a map or a function
 * signature names, and drop the structs of ring buffer events; so the header is compiled once more, with a
 * variable of each type, by the compiler and for the target that build the objects.
 */

export interface Header {
  btf: Btf;
  /** Names of the structs and enums that it declares, in order. */
  structs: string[];
  enums: string[];
  /** "struct.field" to the enum that its comment names: enums are stored in bytes, which C cannot declare. */
  fieldEnums: Map<string, string>;
  /** `#define PICKET_X <number>`: BTF knows no macros. */
  constants: { name: string; value: number }[];
}

export function readHeader(path: string): Header {
  const text = readFileSync(path, "utf8");
  const structs = [...text.matchAll(/^struct (picket_\w+) \{/gm)].map(match => match[1]!);
  const enums = [...text.matchAll(/^enum (picket_\w+) \{/gm)].map(match => match[1]!);
  const constants = [...text.matchAll(/^#define PICKET_(\w+) (0x[0-9a-f]+|\d+)u?\b/gim)].map(match => ({
    name: match[1]!,
    value: Number(match[2]),
  }));
  return { btf: compile(path, structs, enums), structs, enums, fieldEnums: fieldEnums(text), constants };
}

function fieldEnums(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, struct, body] of text.matchAll(/^struct (picket_\w+) \{\n(.*?)^\};/gms))
    for (const [, field, name] of body!.matchAll(/(\w+)(?: : \d+)?;\s*\/\* enum (picket_\w+)/g))
      found.set(`${struct}.${field}`, name!);
  return found;
}

function compile(header: string, structs: string[], enums: string[]): Btf {
  const folder = mkdtempSync(join(tmpdir(), "picket-layout-"));
  try {
    const source = join(folder, "layout.c");
    const object = join(folder, "layout.o");
    const variables = [
      ...structs.map((name, index) => `struct ${name} *struct_${index};`),
      ...enums.map((name, index) => `enum ${name} enum_${index};`),
    ];
    writeFileSync(source, `#include <linux/types.h>\n#include "${header}"\n${variables.join("\n")}\n`);
    const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
    execFileSync("clang", [
      ...["-g", "-O2", "-target", "bpf", "-I", `/usr/include/${multiarch}`],
      ...["-Wall", "-Werror", "-c", source, "-o", object],
    ]);
    return readBtf(readFileSync(object));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
