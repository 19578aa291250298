/**
 * What the node remembers of rules across restarts: the floor under each rule set (only a signed bundle raises it),
 * the last bundles that were good with the assignments they came by, and eBPF objects by digest. Every file is whole
 * after a crash.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Envelope } from "@picket/shared/bundle-format";
import { Assignment } from "@picket/shared/contract";
import type { ObjectDigest } from "@picket/shared/ids";
import { z } from "zod";
import { readIfPresent, readJson, writeDurably } from "../state/durable.ts";

const Floors = z.record(z.string(), z.int());
const LastGood = z.strictObject({ assignment: Assignment, envelope: Envelope });
export type LastGood = z.infer<typeof LastGood>;
/** One of each rule set: what every process is judged by, and the candidates that may yet be rolled back to it. */
const Kept = z.strictObject({ whole: z.array(LastGood), candidates: z.array(LastGood) });
type Kept = z.infer<typeof Kept>;

export class RuleStore {
  readonly #directory: string;
  #floors: Record<string, number>;

  constructor(stateDirectory: string) {
    this.#directory = join(stateDirectory, "rules");
    mkdirSync(join(this.#directory, "objects"), { recursive: true, mode: 0o700 });
    this.#floors = readJson(this.#path("floors.json"), Floors) ?? {};
  }

  floorOf(ruleSet: string): number {
    return this.#floors[ruleSet] ?? 0;
  }

  /** Never lowers: a replayed older bundle with a lower floor changes nothing. */
  raiseFloor(ruleSet: string, floor: number): void {
    if (floor <= this.floorOf(ruleSet)) return;
    this.#floors = { ...this.#floors, [ruleSet]: floor };
    writeDurably(this.#path("floors.json"), JSON.stringify(this.#floors));
  }

  keep(kept: Kept): void {
    writeDurably(this.#path("running.json"), JSON.stringify(kept));
  }

  kept(): Kept {
    return readJson(this.#path("running.json"), Kept) ?? { whole: [], candidates: [] };
  }

  /** Checked against its digest at every read: a file that was changed on disk is not there. */
  object(digest: ObjectDigest): Buffer | null {
    const bytes = readIfPresent(this.#objectPath(digest));
    if (!bytes || createHash("sha256").update(bytes).digest("hex") !== digest) return null;
    return bytes;
  }

  keepObject(digest: ObjectDigest, bytes: Buffer): void {
    writeDurably(this.#objectPath(digest), bytes);
  }

  /** Objects that no kept bundle names any more. */
  forgetObjectsExcept(digests: readonly ObjectDigest[]): void {
    for (const name of readdirSync(join(this.#directory, "objects")))
      if (!digests.some(digest => name === `${digest}.o`))
        rmSync(join(this.#directory, "objects", name), { force: true });
  }

  /** After `leave`: the next enrolment starts from its own release keys, so from its own floors too. */
  forget(): void {
    rmSync(this.#directory, { recursive: true, force: true });
    mkdirSync(join(this.#directory, "objects"), { recursive: true, mode: 0o700 });
    this.#floors = {};
  }

  #objectPath(digest: ObjectDigest): string {
    return join(this.#directory, "objects", `${digest}.o`);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
