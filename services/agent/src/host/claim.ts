/**
 * Two agents whose cgroups overlap would judge the same statements twice and, with one socket in two sockmaps, break
 * each other. So an agent claims its place in /run before it attaches anything, and refuses to start beside a living
 * one, or beside the programs that a dead one left running. The claim also carries what a successor needs to take
 * over pinned programs: it lives in memory only and is gone at boot, like the programs.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson, writeDurably } from "../state/durable.ts";
import { overlap } from "./cgroups.ts";
import { parentAndStart } from "./processes.ts";

export const CLAIMS_DIRECTORY = "/run/picket/agents";

export const Claim = z.object({
  instance: z.string(),
  pid: z.int(),
  startTicks: z.number(),
  cgroup: z.string(),
  pins: z.string(),
  /** What the pinned programs were built from and run with; null before they are attached. */
  running: z
    .strictObject({
      abi: z.int(),
      dispatcher: z.string(),
      hashKey: z.string(),
      hashStart: z.string(),
      /** Ordinals of rule versions count on, so that no two mean different rules. */
      ordinal: z.int(),
      /** What judged: with the same bundles a successor keeps its verdicts and can read its events. */
      stable: z.strictObject({ slot: z.int(), ordinal: z.int(), parts: z.string() }).nullable(),
    })
    .nullable()
    // Another version's: what it ran cannot be taken over, but who it was and where is known.
    .catch(null),
});
export type Claim = z.infer<typeof Claim>;

export class ClaimRefused extends Error {
  override name = "ClaimRefused";
}

/** The claim that an earlier agent of this instance left, if any. Throws `ClaimRefused` in plain words. */
export function claim(input: {
  instance: string;
  cgroup: string;
  pins: string;
  /** Of any agent: a cgroup that is gone has no processes left. */
  cgroupExists: (cgroup: string) => boolean;
  directory?: string;
}): {
  earlier: Claim | null;
  write: (running: Claim["running"]) => void;
  release: () => void;
} {
  const { instance, cgroup, pins, directory = CLAIMS_DIRECTORY } = input;
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  let earlier: Claim | null = null;
  const overlapping: { other: Claim; alive: boolean }[] = [];
  for (const name of readdirSync(directory)) {
    if (!name.endsWith(".json")) continue;
    const other = read(join(directory, name));
    if (!other) continue;
    const alive = parentAndStart(other.pid)?.startTicks === other.startTicks;
    if (other.instance === instance) {
      if (alive && other.pid !== process.pid)
        throw new ClaimRefused(
          `an agent named "${instance}" runs already (pid ${other.pid}); stop it, or set PICKET_INSTANCE`,
        );
      earlier = other;
      continue;
    }
    if (!alive && !input.cgroupExists(other.cgroup)) {
      // Nobody is watched there any more, and nobody will start it again to tidy up.
      if (other.pins.startsWith("/sys/fs/bpf/picket-")) rmSync(other.pins, { recursive: true, force: true });
      rmSync(join(directory, name), { force: true });
      continue;
    }
    if (overlap(other.cgroup, cgroup)) overlapping.push({ other, alive });
  }
  // The living first: who has ended can be dealt with after them.
  for (const { other, alive } of overlapping.sort(
    (left, right) => Number(right.alive) - Number(left.alive),
  )) {
    if (alive)
      throw new ClaimRefused(
        `agent "${other.instance}" (pid ${other.pid}) watches the cgroup ${other.cgroup}, which overlaps ${cgroup}: one socket cannot be judged twice. Stop it, or give this agent another PICKET_CGROUP`,
      );
    if (existsSync(join(other.pins, "links")))
      throw new ClaimRefused(
        `the programs of agent "${other.instance}" still run on the cgroup ${other.cgroup}, which overlaps ${cgroup}, although it has ended. Start and stop it (PICKET_INSTANCE=${other.instance}) to take them away`,
      );
    rmSync(join(directory, `${other.instance}.json`), { force: true });
  }
  const path = join(directory, `${instance}.json`);
  const write = (running: Claim["running"]) => {
    const startTicks = parentAndStart(process.pid)?.startTicks ?? 0;
    writeDurably(
      path,
      JSON.stringify({ instance, pid: process.pid, startTicks, cgroup, pins, running } satisfies Claim),
    );
  };
  write(earlier?.running ?? null);
  return { earlier, write, release: () => rmSync(path, { force: true }) };
}

function read(path: string): Claim | null {
  try {
    return readJson(path, Claim);
  } catch {
    // Written by another version: nothing in it can be relied on.
    return null;
  }
}
