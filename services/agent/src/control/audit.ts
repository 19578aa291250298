/** Every change made over the control socket, appended and flushed before it takes effect. */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

export type AuditEntry = { at: string; verb: string; subject: string; detail: Record<string, unknown> };

export function openAudit(stateDirectory: string): (entry: Omit<AuditEntry, "at">) => void {
  const path = join(stateDirectory, "audit.log");
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return entry => {
    const file = openSync(path, "a", 0o600);
    try {
      writeSync(file, `${JSON.stringify({ at: new Date().toISOString(), ...entry })}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  };
}
