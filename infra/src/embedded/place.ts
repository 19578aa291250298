import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The directory asked for, which is kept, or a temporary one, which `discard` removes. */
export function place({ dir, durable }: { dir?: string; durable?: boolean }): {
  dir: string;
  durable: boolean;
  discard(): void;
} {
  if (dir !== undefined) return { dir: resolve(dir), durable: durable ?? true, discard: () => undefined };
  const made = mkdtempSync(join(tmpdir(), "picket-embedded-"));
  chmodSync(made, 0o711);
  return {
    dir: made,
    durable: durable ?? false,
    discard: () => rmSync(made, { recursive: true, force: true }),
  };
}
