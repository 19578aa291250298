/** The eBPF objects that ship with this agent, read when they are needed: a megabyte each is not kept in memory. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

export type ShippedObject = "dispatcher" | "slot";

/** Beside this package as it is built, or in the repository. */
export function readObject(name: ShippedObject): Buffer {
  const file = `${name}.bpf.o`;
  try {
    return readFileSync(createRequire(import.meta.url).resolve(`@picket/bpf/dist/${file}`));
  } catch {
    throw new Error(`the kernel program ${file} is not built: run "npm run build"`);
  }
}
