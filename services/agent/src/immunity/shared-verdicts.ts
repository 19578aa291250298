/**
 * What other nodes of the fleet found hostile. Nothing is believed for its signature alone: the key must be delegated
 * by a rule version that runs here, the verdict must keep the delegation's bounds, and this node's own stages must
 * call the shape an attack that is to be blocked. Never over what a signed rule set or a verdict by hand allows, nor
 * over what was found honest here. What is kept, with its expiry, outlives a restart, and is judged again by each
 * rule version.
 */
import { join } from "node:path";
import { statementsOf } from "@picket/judge/replay";
import { defaultSession } from "@picket/judge/session";
import type { Delegation } from "@picket/shared/bundle-format";
import type { ShapeDigest, SharedVerdictId } from "@picket/shared/ids";
import {
  type Denial,
  type DisbeliefCode,
  SharedVerdictEnvelope,
  type VerdictAnswer,
} from "@picket/shared/immunity";
import { newestOfEachKey, verifySharedVerdict } from "@picket/shared/shared-verdict";
import { z } from "zod";
import { breather } from "../breather.ts";
import type { Judgement } from "../rules/judging.ts";
import type { Lexing } from "../rules/lexing.ts";
import type { Loaded, Versions } from "../rules/versions.ts";
import { readJson, writeDurably } from "../state/durable.ts";
import { beyondBounds } from "./bounds.ts";

const Saved = z.strictObject({
  after: z.int().min(0),
  keys: z.array(z.string()),
  envelopes: z.array(SharedVerdictEnvelope),
});

/** More than any delegation allows, with what was revoked and not yet forgotten. */
const KEPT_MAX = 4_000;
/** What a revoked verdict's id is remembered for, lest the denial be played again. */
const TOMBSTONE_MS = 7 * 86_400_000;

type Kept = {
  envelope: SharedVerdictEnvelope;
  denial: Denial;
  delegation: Delegation;
  /** By which loaded versions it was judged; null: not yet. */
  judged: string | null;
  because: DisbeliefCode | null;
  /** In kernel maps. */
  fingerprint: bigint | null;
  told: boolean;
};

export class SharedVerdicts {
  readonly #path: string;
  readonly #versions: Versions;
  readonly #lexing: Lexing;
  readonly #learned: (shape: ShapeDigest) => boolean;
  readonly #nowMs: () => number;
  readonly #kept = new Map<SharedVerdictId, Kept>();
  readonly #revoked = new Map<SharedVerdictId, { sequence: number; untilMs: number }>();
  readonly #refused: Partial<Record<DisbeliefCode, number>> = {};
  /** Read from disk, and not verified before a rule version is there that names the key. */
  #unverified: SharedVerdictEnvelope[];
  /** Delegated when the feed was read up to `after`. */
  #keys: Set<string>;
  #after: number;
  #reconsidered = 0;
  #refreshing: Promise<void> = Promise.resolve();

  constructor(input: {
    stateDirectory: string;
    versions: Versions;
    lexing: Lexing;
    /** Whether a workload here has learned to send it. */
    learned: (shape: ShapeDigest) => boolean;
    nowMs: () => number;
  }) {
    this.#path = join(input.stateDirectory, "shared-verdicts.json");
    this.#versions = input.versions;
    this.#lexing = input.lexing;
    this.#learned = input.learned;
    this.#nowMs = input.nowMs;
    const saved = readJson(this.#path, Saved);
    this.#unverified = saved?.envelopes ?? [];
    this.#keys = new Set(saved?.keys);
    this.#after = saved?.after ?? 0;
  }

  /** A rule version that runs here says who may share verdicts. */
  get delegated(): boolean {
    return this.#inForce().length > 0;
  }

  /** How far to read the fleet's feed on from; null: from nowhere, since nobody is believed. */
  position(): number | null {
    const keys = this.#inForce().map(({ keyid }) => keyid);
    // What a key said before it was known here was not believed: it is read again.
    if (!keys.every(key => this.#keys.has(key))) this.#after = 0;
    this.#keys = new Set(keys);
    return keys.length > 0 ? this.#after : null;
  }

  counts(): { sequence: number; believed: number; refused: Partial<Record<DisbeliefCode, number>> } {
    const believed = [...this.#kept.values()].filter(({ fingerprint }) => fingerprint !== null).length;
    return { sequence: this.#after, believed, refused: { ...this.#refused } };
  }

  /** A page of the feed. What nobody vouches for is counted and forgotten. */
  async receive(envelopes: readonly unknown[], last: number): Promise<void> {
    for (const envelope of envelopes) this.#take(envelope);
    // A control plane that was set back says so by a lower one.
    this.#after = last;
    try {
      this.#save();
    } finally {
      // A disk that is full loses what a restart would read, and nothing of what runs.
      await this.refresh();
    }
  }

  /** What is honest here has changed. */
  reconsider(): void {
    this.#reconsidered += 1;
    for (const kept of this.#kept.values()) kept.judged = null;
  }

  /** Ends what has expired, and judges what this node's present rule versions have not judged. One at a time. */
  refresh(): Promise<void> {
    const refresh = () => this.#refresh();
    // What failed is told to who asked for it, and stands in nobody's way.
    this.#refreshing = this.#refreshing.then(refresh, refresh);
    return this.#refreshing;
  }

  /** What the control plane has not been told. */
  answers(): VerdictAnswer[] {
    return [...this.#kept]
      .filter(([, { told, judged }]) => !told && judged !== null)
      .slice(0, 200)
      .map(([verdict, { because }]) => ({ verdict, because }));
  }

  answered(answers: readonly VerdictAnswer[]): void {
    for (const { verdict, because } of answers) {
      const kept = this.#kept.get(verdict);
      if (kept?.because === because) kept.told = true;
    }
  }

  /** After leaving a fleet nothing of it holds. */
  forget(): void {
    for (const kept of this.#kept.values()) this.#withdraw(kept);
    this.#kept.clear();
    this.#revoked.clear();
    this.#unverified = [];
    this.#after = 0;
    this.#save();
  }

  #delegations(): Delegation[] {
    return newestOfEachKey(
      this.#versions.live().flatMap(({ parts }) => parts.flatMap(({ delegation }) => delegation ?? [])),
    );
  }

  #inForce(): Delegation[] {
    return this.#delegations().filter(({ expiresAt }) => Date.parse(expiresAt) > this.#nowMs());
  }

  #take(envelope: unknown): void {
    const nowMs = this.#nowMs();
    const verified = verifySharedVerdict(envelope, { delegations: this.#delegations(), nowMs });
    if (!verified.ok) {
      this.#count(verified.error);
      return;
    }
    const { verdict, delegation } = verified.value;
    const { id, sequence } = verdict;
    const known = this.#kept.get(id);
    if (sequence <= Math.max(known?.denial.sequence ?? 0, this.#revoked.get(id)?.sequence ?? 0)) return;
    if (verdict.kind === "revoke") {
      if (known) this.#withdraw(known);
      this.#kept.delete(id);
      this.#revoked.set(id, { sequence, untilMs: nowMs + TOMBSTONE_MS });
      while (this.#revoked.size > KEPT_MAX) this.#revoked.delete(this.#revoked.keys().next().value!);
      return;
    }
    if (!known && this.#kept.size >= KEPT_MAX) {
      this.#count("over-cap");
      return;
    }
    // Said anew, it holds on until it has been judged anew.
    const stands = known?.denial.shape === verdict.shape && known.delegation.keyid === delegation.keyid;
    if (known && !stands) this.#withdraw(known);
    this.#kept.set(id, {
      envelope: envelope as SharedVerdictEnvelope,
      denial: verdict,
      delegation,
      judged: null,
      because: null,
      fingerprint: stands ? known.fingerprint : null,
      told: false,
    });
  }

  async #refresh(): Promise<void> {
    const nowMs = this.#nowMs();
    const live = this.#versions.live();
    if (live.length === 0) return;
    const delegations = this.#delegations();
    if (this.#unverified.length > 0 && delegations.length > 0) {
      const restored = this.#unverified;
      this.#unverified = [];
      for (const envelope of restored) this.#take(envelope);
    }
    const before = this.#kept.size;
    for (const [id, kept] of this.#kept) {
      // A rule version that no longer names the key ends what it said.
      const delegation = delegations.find(({ keyid }) => keyid === kept.delegation.keyid);
      const ends = Math.min(Date.parse(kept.denial.expiresAt), Date.parse(delegation?.expiresAt ?? "") || 0);
      if (delegation && ends > nowMs) {
        kept.delegation = delegation;
        continue;
      }
      this.#withdraw(kept);
      this.#kept.delete(id);
    }
    for (const [id, { untilMs }] of this.#revoked) if (untilMs <= nowMs) this.#revoked.delete(id);
    const ended = this.#kept.size !== before;

    const breathe = breather();
    const by = namesOf(live);
    for (const kept of this.#kept.values()) {
      // Room may have come free since.
      if (kept.judged === by && !kept.because?.startsWith("over-")) continue;
      await breathe();
      // Others had their turn: the next refresh goes on with the versions that there are now.
      if (namesOf(this.#versions.live()) !== by) break;
      if (this.#kept.get(kept.denial.id) !== kept) continue;
      const reconsidered = this.#reconsidered;
      const because = await this.#judge(kept, live);
      if (because !== kept.because) {
        if (because !== null) this.#count(because);
        kept.told = false;
      }
      kept.because = because;
      kept.judged = reconsidered === this.#reconsidered ? by : null;
    }
    // Last: it may fail, and what was to be judged is.
    if (ended) this.#save();
  }

  /** Null: believed, and written to the map of each version that agrees. */
  async #judge(kept: Kept, live: readonly Loaded[]): Promise<DisbeliefCode | null> {
    const { denial, delegation } = kept;
    const { text, dialect, shape } = denial;
    if (kept.fingerprint === null) {
      const others = [...this.#kept.values()].filter(
        other => other !== kept && other.fingerprint !== null && other.delegation.keyid === delegation.keyid,
      );
      const beyond = beyondBounds(
        denial,
        delegation,
        others.map(other => other.denial),
      );
      if (beyond) return beyond;
    }
    const session = defaultSession(dialect);
    const statements = statementsOf(text, dialect, shape);
    const fingerprint = statements[0] ? this.#lexing.fingerprint(statements[0], dialect, session) : 0n;
    if (fingerprint === 0n) return "other-shape";

    let because: DisbeliefCode | null = null;
    const agree: [Loaded, Judgement][] = [];
    for (const loaded of live) {
      if (this.#versions.allows(loaded, fingerprint)) {
        because = "allowed-here";
        continue;
      }
      if (this.#learned(shape) || this.#versions.foundHonest(loaded, fingerprint)) {
        because = "honest-here";
        continue;
      }
      const judgements: Judgement[] = [];
      for (const sql of statements) {
        const judgement = this.#versions.judge(loaded, { sql, dialect, session });
        judgements.push((await judgement.escalate?.()) ?? judgement);
      }
      const hostile = judgements.find(isHostile);
      if (hostile && judgements.every(({ verdict }) => verdict !== "benign")) agree.push([loaded, hostile]);
      else because ??= "not-hostile-here";
    }
    // It may have been revoked while a parser was asked.
    if (this.#kept.get(denial.id) !== kept) return because;
    if (agree.length === 0) {
      this.#withdraw(kept);
      return because;
    }
    for (const [loaded, judgement] of agree) this.#versions.share(loaded, fingerprint, judgement);
    kept.fingerprint = fingerprint;
    return null;
  }

  #withdraw(kept: Kept): void {
    if (kept.fingerprint === null) return;
    this.#versions.unshare(kept.fingerprint);
    kept.fingerprint = null;
  }

  #count(code: DisbeliefCode): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1;
  }

  #save(): void {
    const envelopes = [...this.#unverified, ...[...this.#kept.values()].map(({ envelope }) => envelope)];
    writeDurably(this.#path, JSON.stringify({ after: this.#after, keys: [...this.#keys], envelopes }));
  }
}

const isHostile = ({ verdict, action, holdsForShape }: Judgement): boolean =>
  verdict === "attack" && action === "block" && holdsForShape;

const namesOf = (live: readonly Loaded[]): string => live.map(({ ordinal }) => ordinal).join(" ");
