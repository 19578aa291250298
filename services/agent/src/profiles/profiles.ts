/**
 * What each workload sends as each database user to each database, learned on this node: a profile of the judge for
 * each, its phase, and its file. It learns for at least the time and the statements that the rule set says, over
 * restarts; then the rule set's mode holds. Bounded: a connection for which no profile is left is judged without one.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadProfile, Profile } from "@picket/judge/drift/profile";
import type { Drift } from "@picket/judge/settings";
import type { ProfileState } from "@picket/shared/control-socket";
import {
  AdoptedProfile,
  PROFILE_BYTES_MAX,
  ProfileExport,
  type ProfileIdentity,
  type ProfileOffer,
  type SignedProfile,
} from "@picket/shared/profile";
import { z } from "zod";
import { breather } from "../breather.ts";
import { readJson, writeDurably } from "../state/durable.ts";

const Saved = z.object({
  startedMs: z.number(),
  statements: z.number(),
  profile: ProfileExport,
  /** The last signed profile that was taken in, and what became of it. */
  signed: AdoptedProfile.nullable().default(null),
});

type Kept = {
  profile: Profile;
  startedMs: number;
  statements: number;
  signed: AdoptedProfile | null;
  changed: boolean;
  /** Since it was last offered to the control plane. */
  offer: boolean;
  file: string;
};

const PROFILES_MAX = 256;
/**
 * A shape is told to the kernel as known only once it was seen so often while it is being learned: later uses show
 * which of its literals vary, and known ones never come here.
 */
export const USES_TO_LEARN = 8;

export class Profiles {
  readonly #directory: string;
  readonly #kept = new Map<string, Kept>();
  /** Connections without a profile because there are too many. */
  overflowed = 0;
  /** Not offered for review, since they are. */
  tooLarge = 0;

  constructor(stateDirectory: string) {
    this.#directory = join(stateDirectory, "profiles");
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#directory)) {
      if (!name.endsWith(".json")) continue;
      const file = join(this.#directory, name);
      const saved = readJson(file, Saved);
      if (!saved || this.#kept.size >= PROFILES_MAX) continue;
      const profile = loadProfile(saved.profile);
      if (!profile.ok) continue;
      const { startedMs, statements, signed } = saved;
      this.#kept.set(keyOf(profile.value.identity), {
        profile: profile.value,
        startedMs,
        statements,
        signed,
        changed: false,
        offer: true,
        file,
      });
    }
  }

  /** The profile of a connection, in the phase that the rule set's settings make of its age; null: no room. */
  of(identity: ProfileIdentity, drift: Drift, nowMs: number): Profile | null {
    const key = keyOf(identity);
    const kept = this.#kept.get(key) ?? this.#begin(identity, nowMs);
    if (!kept) {
      this.overflowed += 1;
      return null;
    }
    setPhase(kept, drift, nowMs);
    return kept.profile;
  }

  /** As it would be with other settings, for as long as `use` runs; none is begun for it. */
  as<T>(identity: ProfileIdentity, drift: Drift, nowMs: number, use: (profile: Profile | undefined) => T): T {
    const kept = this.#kept.get(keyOf(identity));
    if (!kept) return use(undefined);
    const { mode, locked } = kept.profile;
    try {
      setPhase(kept, drift, nowMs);
      return use(kept.profile);
    } finally {
      Object.assign(kept.profile, { mode, locked });
    }
  }

  /** A statement was taken up. */
  counted(profile: Profile): void {
    const kept = this.#kept.get(keyOf(profile.identity));
    if (!kept) return;
    kept.statements += 1;
    kept.changed = true;
    kept.offer = true;
  }

  /** A reviewed export, of this node or another one; it counts as learned. */
  put(exported: unknown, nowMs: number): string | null {
    const loaded = loadProfile(exported);
    if (!loaded.ok) return loaded.error;
    const key = keyOf(loaded.value.identity);
    if (!this.#kept.has(key) && this.#kept.size >= PROFILES_MAX)
      return `there are ${PROFILES_MAX} profiles already`;
    const file = join(this.#directory, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
    this.#kept.set(key, {
      profile: loaded.value,
      startedMs: Math.min(nowMs, this.#kept.get(key)?.startedMs ?? nowMs),
      statements: [...loaded.value.templates.values()].reduce((sum, { count }) => sum + count, 0),
      signed: this.#kept.get(key)?.signed ?? null,
      changed: true,
      offer: true,
      file,
    });
    this.save();
    return null;
  }

  /** How new the signed profile is that was taken in; 0: none was. */
  signedVersion(identity: ProfileIdentity): number {
    return this.#kept.get(keyOf(identity))?.signed?.version ?? 0;
  }

  /**
   * A signed profile, of which `honest` are the templates that this node's own judge has nothing against; beside what
   * was learned here. False: there is no room for another profile.
   */
  async adopt(
    { version, profile, removed }: SignedProfile,
    honest: ProfileExport["templates"],
    nowMs: number,
  ): Promise<boolean> {
    const { workload, databaseUser, database } = profile;
    const identity = { workload, databaseUser, database };
    const kept = this.#kept.get(keyOf(identity)) ?? this.#begin(identity, nowMs);
    if (!kept) return false;
    for (const shape of removed) kept.profile.revoke(shape);
    const breathe = breather();
    let [adopted, statements] = [0, 0];
    for (const template of honest) {
      await breathe();
      if (!kept.profile.adopt(template)) continue;
      adopted += 1;
      statements += template.count;
    }
    // At once, lest the phase of learning end over half of it.
    kept.statements += statements;
    kept.signed = { ...identity, version, adopted, refused: profile.templates.length - adopted };
    kept.changed = true;
    this.save();
    return true;
  }

  adopted(): AdoptedProfile[] {
    return [...this.#kept.values()].flatMap(({ signed }) => signed ?? []);
  }

  /** What has changed since it was last offered, each until it is said to have arrived. */
  *offers(): Generator<{ offer: ProfileOffer; arrived(): void }> {
    for (const kept of this.#kept.values()) {
      if (!kept.offer || kept.profile.templates.size === 0) continue;
      const profile = kept.profile.export();
      if (Buffer.byteLength(JSON.stringify(profile)) > PROFILE_BYTES_MAX) {
        kept.offer = false;
        this.tooLarge += 1;
        continue;
      }
      yield {
        offer: { learning: kept.profile.mode === "learn", profile },
        arrived: () => {
          kept.offer = false;
        },
      };
    }
  }

  /** Whether any workload has learned to send this shape. */
  know(shapeSha256: string): boolean {
    return [...this.#kept.values()].some(({ profile }) => profile.known(shapeSha256));
  }

  export(identity: ProfileIdentity): ProfileExport | null {
    return this.#kept.get(keyOf(identity))?.profile.export() ?? null;
  }

  /** True when there was such a template. */
  revoke(identity: ProfileIdentity, shapeSha256: string): boolean {
    const kept = this.#kept.get(keyOf(identity));
    if (!kept?.profile.revoke(shapeSha256)) return false;
    kept.changed = true;
    kept.offer = true;
    this.save();
    return true;
  }

  /** Learns from the beginning. */
  forget(identity: ProfileIdentity): boolean {
    const kept = this.#kept.get(keyOf(identity));
    if (!kept) return false;
    this.#kept.delete(keyOf(identity));
    rmSync(kept.file, { force: true });
    return true;
  }

  list(): ProfileState[] {
    return [...this.#kept.values()].map(({ profile, startedMs, statements }) => ({
      ...profile.identity,
      learning: profile.mode === "learn",
      templates: profile.templates.size,
      statements,
      since: new Date(startedMs).toISOString(),
    }));
  }

  /** On a timer and at the end: what a crash loses is learned again. */
  save(): void {
    for (const kept of this.#kept.values()) {
      if (!kept.changed) continue;
      const { startedMs, statements, signed, profile, file } = kept;
      writeDurably(file, JSON.stringify({ startedMs, statements, signed, profile: profile.export() }));
      kept.changed = false;
    }
  }

  /** Null: no room. */
  #begin(identity: ProfileIdentity, nowMs: number): Kept | null {
    if (this.#kept.size >= PROFILES_MAX) return null;
    const key = keyOf(identity);
    const kept: Kept = {
      profile: new Profile(identity),
      startedMs: nowMs,
      statements: 0,
      signed: null,
      changed: true,
      offer: true,
      file: join(this.#directory, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`),
    };
    this.#kept.set(key, kept);
    return kept;
  }
}

function setPhase({ profile, startedMs, statements }: Kept, drift: Drift, nowMs: number): void {
  const done = nowMs - startedMs >= drift.learnForMs && statements >= drift.learnStatements;
  profile.mode = drift.locked || done ? drift.mode : "learn";
  profile.locked = drift.locked;
}

const keyOf = ({ workload, databaseUser, database }: ProfileIdentity): string =>
  JSON.stringify([workload, databaseUser, database]);
