import { readFileSync } from "node:fs";
import { Btf } from "./btf.ts";
import { elfSection, isElf } from "./elf.ts";
import { BtfError } from "./errors.ts";
import { type Field, fieldOf } from "./fields.ts";

/*
 * `@picket/native/btf`: types of a BPF object or of the running kernel, without loading any addon.
 */

export { Btf, type BtfComposite, type BtfKind, type BtfMember, type BtfType } from "./btf.ts";
export { BtfError, type BtfErrorCode } from "./errors.ts";
export { type Field, fieldOf, findComposite } from "./fields.ts";

export const KERNEL_BTF_PATH = "/sys/kernel/btf/vmlinux";

/** Reads the running kernel's BTF, raw BTF bytes, or the BTF section of an ELF file (a BPF object). */
export function readBtf(source: "kernel" | Uint8Array): Btf {
  if (source === "kernel") return readKernelBtf();
  if (!isElf(source)) return new Btf(source);
  const section = elfSection(source, ".BTF");
  if (section === undefined)
    throw new BtfError("BTF_NOT_AVAILABLE", "the ELF file has no .BTF section: compile it with -g");
  return new Btf(section);
}

export function readKernelBtf(path = KERNEL_BTF_PATH): Btf {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new BtfError(
      "BTF_NOT_AVAILABLE",
      missing
        ? `this kernel has no BTF at ${path}: run a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, RHEL 8.2 and later have it)`
        : `could not read the kernel's BTF at ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
  return new Btf(bytes);
}

let kernel: Btf | undefined;

/** Where a field of a kernel struct lies in the running kernel: `kernelField("sock", "sk_protocol")`. */
export function kernelField(struct: string, path: string): Field {
  kernel ??= readKernelBtf();
  return fieldOf(kernel, struct, path);
}
