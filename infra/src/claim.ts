import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError, signalQuietly, startTicks } from "./process.ts";

// One owner per data directory. The claim names the owner and the server it started, each by pid and
// start time, so that a recycled pid is never mistaken for either. A dead owner's server (its owner
// was killed and the kernel could not deliver the death signal) is ended before a new one starts.

type Party = { pid: number; ticks: string };
type Claim = { owner: Party; server?: Party };

export function claim(dir: string): {
  serverIs(pid: number): void;
  release(): void;
  orphan: number | undefined;
} {
  const file = join(dir, "claim.json");
  const before = read(file);
  if (before !== undefined && isAlive(before.owner) && before.owner.pid !== process.pid) {
    throw new InfraError(
      "in-use",
      `${dir} is in use by process ${before.owner.pid}. Stop it first (Ctrl-C there).`,
    );
  }
  if (before !== undefined && before.owner.pid === process.pid && before.server && isAlive(before.server)) {
    throw new InfraError("in-use", `${dir} is already in use by this process`);
  }
  const owner = party(process.pid);
  write(file, { owner });
  return {
    orphan: before?.server !== undefined && isAlive(before.server) ? before.server.pid : undefined,
    serverIs: pid => write(file, { owner, server: party(pid) }),
    release: () => rmSync(file, { force: true }),
  };
}

/** Ends an orphaned server: politely, then by force. Its identity was checked by its start time. */
export async function endOrphan(pid: number, signal: NodeJS.Signals, timeoutMs = 10_000): Promise<void> {
  const ticks = startTicks(pid);
  const deadline = performance.now() + timeoutMs;
  signalQuietly(pid, signal);
  while (ticks !== undefined && startTicks(pid) === ticks) {
    if (performance.now() > deadline) signalQuietly(pid, "SIGKILL");
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

function party(pid: number): Party {
  return { pid, ticks: startTicks(pid) ?? "" };
}

function isAlive({ pid, ticks }: Party): boolean {
  return startTicks(pid) === ticks;
}

function read(file: string): Claim | undefined {
  try {
    const value = JSON.parse(readFileSync(file, "utf8")) as Claim;
    return typeof value.owner?.pid === "number" ? value : undefined;
  } catch {
    return undefined; // Absent, or cut short by a crash: nothing is known, and the servers have locks of their own.
  }
}

function write(file: string, value: Claim): void {
  writeFileSync(`${file}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
