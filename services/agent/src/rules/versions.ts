/**
 * The rule versions that are loaded: which slot each has, who is judged by which, what each makes of a shape.
 *
 * A version is prepared in a spare slot, where nobody is sent: loaded, its verdicts filled in, tested with its own
 * examples. Only then one map update switches to it. Whatever fails before leaves the old one enforcing. A version
 * that was switched away from stays a while, since a statement finishes in the slot where it began (WIRE §8).
 */

import { defaultSession } from "@picket/judge/session";
import type { Delegation } from "@picket/shared/bundle-format";
import type { VersionCounters } from "@picket/shared/contract";
import type { BundleDigest, RuleSetName, RuleVersion } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import type { Kernel } from "../capture/kernel.ts";
import { SLOTS_MAX } from "../capture/pins.ts";
import type { HoldSettings, ShapeVerdict, Slot } from "../capture/slot.ts";
import {
  type CompiledRules,
  type Judgement,
  judgeByAll,
  notBelow,
  type Sent,
  type ShapeEntry,
} from "./judging.ts";
import type { LearnedShapes } from "./learned.ts";
import type { Refusal } from "./verify.ts";

/** One rule set's part of what a slot judges by. */
export type Part = {
  ruleSet: RuleSetName;
  version: RuleVersion;
  bundle: BundleDigest;
  rules: CompiledRules;
  /** Who may share verdicts with the nodes that run it. */
  delegation?: Delegation | undefined;
};

export type Loaded = {
  ordinal: number;
  parts: readonly Part[];
  slot: Slot;
  /** Index → id, as the kernel's events name a rule. */
  ruleIds: readonly string[];
  /** Verdicts that the rule sets themselves give. */
  bundled: ReadonlyMap<bigint, ShapeVerdict>;
};

/** An override by hand: stronger than any rule set, in every version. */
export type Override = { fingerprint: bigint; verdict: ShapeVerdict };

/** What a successor needs to know of this agent's versions. */
export type Remembered = { ordinal: number; stable: { slot: number; ordinal: number; parts: string } | null };

/** What holding needs to know of versions. */
export type HoldingRules = {
  /** Burnt into the slot. */
  settings(parts: readonly CompiledRules[]): HoldSettings;
  /** Before anybody is judged by it. */
  prepare(version: number, parts: readonly CompiledRules[]): void;
  /** By whom statements are judged has changed. */
  switched(live: readonly CompiledRules[]): void;
  discard(version: number): void;
};

type Named = ShapeEntry & { precedence: number };

const STRICTNESS: readonly ShapeEntry["action"][] = ["allow", "observe", "alert", "block"];
export const CONTROL_SOCKET_RULE = "control-socket";
const RETIRE_AFTER_MS = 30_000;
/** As many shapes as one version knows at most; the counts of others begin anew. */
const USES_MAX = 65_536;

export class Versions {
  readonly #kernel: Kernel;
  readonly #learned: LearnedShapes;
  readonly #secrets: { hashKey: bigint; hashStart: bigint };
  readonly #overrides: () => Iterable<Override>;
  readonly #selfTest: (loaded: Loaded) => Promise<string | null>;
  readonly #remember: (running: Remembered) => void;
  readonly #holding: HoldingRules;
  readonly #compareOneIn: number | undefined;
  #predecessor: Remembered["stable"];
  /** A predecessor's events wait in the ring, or are of statements that its slot still judged: by the same rules. */
  #continued: { ordinal: number; by: Loaded } | null = null;
  readonly #retired: { loaded: Loaded; sinceMs: number }[] = [];
  /** Slots of a predecessor that still run until the first switch. */
  #inherited: Set<number>;
  /** Of versions that are gone. Of what they knew: as many as their maps held. */
  readonly #usesBefore = new Map<bigint, number>();
  #ordinal: number;
  #stable: Loaded | null = null;
  #candidate: { loaded: Loaded; share: number; newProcessesOnly: boolean } | null = null;

  constructor(input: {
    kernel: Kernel;
    learned: LearnedShapes;
    secrets: { hashKey: bigint; hashStart: bigint };
    /** Of a predecessor whose programs were taken over. */
    predecessor: Remembered | null;
    overrides: () => Iterable<Override>;
    /** Null when the version does what it should, else what it did instead. */
    selfTest: (loaded: Loaded) => Promise<string | null>;
    remember: (running: Remembered) => void;
    holding: HoldingRules;
    compareOneIn?: number;
  }) {
    this.#kernel = input.kernel;
    this.#learned = input.learned;
    this.#secrets = input.secrets;
    this.#ordinal = input.predecessor?.ordinal ?? 0;
    this.#predecessor = input.kernel.tookOver ? (input.predecessor?.stable ?? null) : null;
    this.#overrides = input.overrides;
    this.#selfTest = input.selfTest;
    this.#remember = input.remember;
    this.#holding = input.holding;
    this.#compareOneIn = input.compareOneIn;
    const before = input.kernel.tookOver ? input.kernel.dispatched() : null;
    this.#inherited = new Set(before ? [before.stable, before.candidate] : []);
  }

  get stable(): Loaded | null {
    return this.#stable;
  }

  get candidate(): { loaded: Loaded; share: number; newProcessesOnly: boolean } | null {
    return this.#candidate;
  }

  /** The version that judged an event; retired ones are known until their slot is given away. */
  byOrdinal(ordinal: number): Loaded | undefined {
    const wanted = ordinal === this.#continued?.ordinal ? this.#continued.by.ordinal : ordinal;
    return this.#all().find(loaded => loaded.ordinal === wanted);
  }

  /** Loads and tests in a spare slot. Nothing is judged by it yet. */
  async prepare(parts: readonly Part[], object: Buffer): Promise<Result<Loaded, Refusal>> {
    const index = this.#spare();
    this.#ordinal += 1;
    this.#tellSuccessor();
    const ruleIds = [CONTROL_SOCKET_RULE, ...new Set(parts.flatMap(({ rules }) => rules.ruleIds))];
    const loading = await this.#kernel.loadSlot({
      object,
      index,
      ordinal: this.#ordinal,
      rules: ruleIds,
      ...this.#secrets,
      compareOneIn: this.#compareOneIn,
      hold: this.#holding.settings(parts.map(({ rules }) => rules)),
    });
    if (!loading.ok) return loading;
    const slot = loading.value;
    const loaded: Loaded = {
      ordinal: this.#ordinal,
      parts,
      slot,
      ruleIds,
      bundled: this.#bundledVerdicts(parts, ruleIds),
    };
    this.#fill(loaded);
    this.#holding.prepare(
      loaded.ordinal,
      parts.map(({ rules }) => rules),
    );
    this.#kernel.place(slot);
    const failure = await this.#selfTest(loaded);
    if (failure !== null) {
      this.discard(loaded);
      return err({ code: "self-test-failed", detail: failure });
    }
    slot.startCounting();
    return ok(loaded);
  }

  /**
   * Whether this kernel takes the version and it does what it says: loaded and tested as for a switch, and given back.
   */
  async rehearse(parts: readonly Part[], object: Buffer): Promise<Result<null, Refusal>> {
    const prepared = await this.prepare(parts, object);
    if (!prepared.ok) return prepared;
    this.#unload(prepared.value);
    return ok(null);
  }

  discard(loaded: Loaded): void {
    for (const [fingerprint, uses] of usesOf(loaded.slot))
      this.#usesBefore.set(fingerprint, (this.#usesBefore.get(fingerprint) ?? 0) + uses);
    for (const fingerprint of this.#usesBefore.keys()) {
      if (this.#usesBefore.size <= USES_MAX) break;
      this.#usesBefore.delete(fingerprint);
    }
    this.#unload(loaded);
  }

  #unload(loaded: Loaded): void {
    this.#kernel.clearSlot(loaded.slot.index);
    loaded.slot.close({ keepPins: false });
    this.#holding.discard(loaded.ordinal);
  }

  /** All are judged by it from the next message on. */
  makeStable(loaded: Loaded, nowMs: number): void {
    const before = this.live().filter(each => each !== loaded);
    this.#recall(loaded);
    this.#stable = loaded;
    this.#candidate = null;
    this.#switch();
    for (const each of before) this.#retire(each, nowMs);
    if (this.#predecessor?.parts === Versions.key(loaded.parts))
      this.#continued = { ordinal: this.#predecessor.ordinal, by: loaded };
    this.#releaseInherited();
    this.#tellSuccessor();
  }

  /** A share of the processes is judged by it; without a stable version all are. */
  makeCandidate(loaded: Loaded, share: number, newProcessesOnly: boolean, nowMs: number): void {
    if (!this.#stable) {
      this.makeStable(loaded, nowMs);
      return;
    }
    const before = this.#candidate?.loaded;
    this.#recall(loaded);
    this.#candidate = { loaded, share, newProcessesOnly };
    this.#switch();
    if (before && before !== loaded) this.#retire(before, nowMs);
  }

  /** Back to the stable version for all. */
  dropCandidate(nowMs: number): void {
    const before = this.#candidate?.loaded;
    this.#candidate = null;
    if (this.#stable) this.#switch();
    if (before) this.#retire(before, nowMs);
  }

  /** Gives back the slots of versions that no statement can still refer to; call it on a timer. */
  retire(nowMs: number): void {
    while (this.#retired[0] && nowMs - this.#retired[0].sinceMs >= RETIRE_AFTER_MS) this.#discardOldest();
  }

  /** A version that is still loaded, so that going back to it is one map update. */
  find(key: string): Loaded | undefined {
    return this.#all().find(({ parts }) => Versions.key(parts) === key);
  }

  /** What a statement is, by the rules of the version that met it. */
  judge(loaded: Loaded, statement: Sent): Judgement {
    return judgeByAll(
      loaded.parts.map(({ rules }) => rules),
      statement,
    );
  }

  /** The judgement of a shape goes into the map of the version that asked; by its fingerprint, with a scope or not. */
  learn(loaded: Loaded, key: bigint, judgement: Judgement): void {
    loaded.slot.setVerdict(key, this.#verdictOf(loaded, judgement, "judged"));
  }

  /** A workload is no more, and its number may be given to another one. */
  forgetWorkload(name: string): void {
    this.#learned.forget(({ workload }) => workload === name);
    this.forgetJudged();
  }

  /** Whatever was made of it: it is judged anew at its next use. */
  forgetShape(fingerprint: bigint): void {
    const keys = this.#learned.forget(shape => shape.fingerprint === fingerprint);
    for (const { slot } of this.live()) for (const key of keys) slot.deleteVerdict(key);
  }

  /** What a profile says has changed: shapes that were judged by it are judged anew. */
  forgetJudged(): void {
    for (const { slot } of this.live()) slot.forgetJudged();
  }

  setOverride({ fingerprint, verdict }: Override): void {
    for (const { slot } of this.live()) slot.setVerdict(fingerprint, verdict);
  }

  /** Back to what each rule set says of it; what none names is judged anew at its next use. */
  clearOverride(fingerprint: bigint): void {
    const keys = this.#learned.forget(shape => shape.fingerprint === fingerprint);
    for (const { slot, bundled } of this.live()) {
      for (const key of keys) slot.deleteVerdict(key);
      const verdict = bundled.get(fingerprint);
      if (verdict) slot.setVerdict(fingerprint, verdict);
      else slot.deleteVerdict(fingerprint);
    }
  }

  /** Whether its rule sets, or a verdict by hand, say that the shape may be sent. */
  allows(loaded: Loaded, fingerprint: bigint): boolean {
    const byHand = [...this.#overrides()].find(override => override.fingerprint === fingerprint);
    return (byHand?.verdict ?? loaded.bundled.get(fingerprint))?.verdict === "benign";
  }

  /** Whether the kernel lets the shape pass, since it was found honest when it was sent. */
  foundHonest({ slot }: Loaded, fingerprint: bigint): boolean {
    const benign = (key: bigint) => slot.verdictOf(key)?.verdict === "benign";
    // By whomever: there may be a verdict for each scope.
    const learned = [...this.#learned.entries()].filter(([, shape]) => shape.fingerprint === fingerprint);
    return benign(fingerprint) || learned.some(([key]) => benign(key));
  }

  /** Another node found the shape hostile, and so does this one. What is known of it already stands. */
  share(loaded: Loaded, fingerprint: bigint, judgement: Judgement): void {
    if (!loaded.slot.knows(fingerprint))
      loaded.slot.setVerdict(fingerprint, this.#verdictOf(loaded, judgement, "shared"));
  }

  /** Its next use is judged here. */
  unshare(fingerprint: bigint): void {
    for (const { slot } of this.live())
      if (slot.verdictOf(fingerprint)?.source === "shared") slot.deleteVerdict(fingerprint);
  }

  /** Lets go of every slot; what is pinned stays for a successor. */
  close(): void {
    for (const { slot } of this.#all()) slot.close({ keepPins: true });
  }

  /** How often the kernel has met what it knows, by the key it knows it under, over all versions of this run. */
  uses(): ReadonlyMap<bigint, number> {
    const total = new Map(this.#usesBefore);
    for (const { slot } of this.#all())
      for (const [fingerprint, uses] of usesOf(slot))
        total.set(fingerprint, (total.get(fingerprint) ?? 0) + uses);
    return total;
  }

  counters(): VersionCounters[] {
    return this.live().flatMap(({ parts, slot }) => {
      const counters = { ...slot.counters(), responses: slot.responses() };
      return parts.map(({ ruleSet, version }) => ({ ruleSet, version, ...counters }));
    });
  }

  /** Same rule sets in the same versions: a predecessor's verdicts are this version's too. */
  static key(parts: readonly Part[]): string {
    return parts.map(({ bundle }) => bundle).join("+");
  }

  /** What the kernel may know without a use. Where a rule set that is not below objects to an allowed shape, nothing. */
  #bundledVerdicts(parts: readonly Part[], ruleIds: readonly string[]): Map<bigint, ShapeVerdict> {
    const named = new Map<bigint, Named[]>();
    for (const { rules } of parts)
      for (const entry of rules.shapes)
        if (entry.fingerprint !== 0n)
          named.set(entry.fingerprint, [
            ...(named.get(entry.fingerprint) ?? []),
            { ...entry, precedence: rules.precedence },
          ]);
    const verdicts = new Map<bigint, ShapeVerdict>();
    for (const [fingerprint, entries] of named) {
      const allowed = entries.filter(({ action }) => action === "allow");
      const strictest = notBelow(allowed, entries).reduce((strict, next) =>
        STRICTNESS.indexOf(next.action) > STRICTNESS.indexOf(strict.action) ? next : strict,
      );
      const { rule, action, dialect, sql } = strictest;
      if (action !== "allow")
        verdicts.set(fingerprint, {
          verdict: "attack",
          action,
          rule: ruleIds.indexOf(rule),
          source: "bundle",
        });
      else if (
        notBelow(
          allowed,
          parts.map(({ rules }) => rules),
        ).every(
          ({ judge }) =>
            judge({ sql: Buffer.from(sql), dialect, session: defaultSession(dialect) }).verdict === "benign",
        )
      )
        verdicts.set(fingerprint, { verdict: "benign", action: "observe", rule: null, source: "bundle" });
    }
    return verdicts;
  }

  #tellSuccessor(): void {
    const stable = this.#stable && {
      slot: this.#stable.slot.index,
      ordinal: this.#stable.ordinal,
      parts: Versions.key(this.#stable.parts),
    };
    this.#remember({ ordinal: this.#ordinal, stable: stable ?? this.#predecessor });
  }

  /** Learned shapes are judged again by the new rules, from their samples; then the rule sets' own; then by hand. */
  #fill(loaded: Loaded): void {
    if (this.#predecessor?.parts === Versions.key(loaded.parts))
      loaded.slot.inherit(this.#kernel.inheritedVerdicts(this.#predecessor.slot));
    const verdicts = new Map<bigint, ShapeVerdict>();
    const drifts = loaded.parts.some(({ rules }) => rules.drifts);
    for (const [key, { sample }] of this.#learned.entries()) {
      if (!sample) continue;
      const judgement = this.judge(loaded, sample);
      // It would hold for some connections only, or takes a parser: who uses it is judged again.
      if (!judgement.holdsForShape || judgement.escalate) continue;
      // So is who may have drifted: a sample does not say whose it was.
      if (drifts && judgement.verdict === "benign") continue;
      verdicts.set(key, this.#verdictOf(loaded, judgement, "learned"));
    }
    for (const [fingerprint, verdict] of loaded.bundled) verdicts.set(fingerprint, verdict);
    for (const { fingerprint, verdict } of this.#overrides()) verdicts.set(fingerprint, verdict);
    loaded.slot.setVerdicts([...verdicts]);
  }

  #verdictOf(loaded: Loaded, judgement: Judgement, source: ShapeVerdict["source"]): ShapeVerdict {
    const [rule] = judgement.rules;
    const index = rule === undefined ? -1 : loaded.ruleIds.indexOf(rule);
    return {
      verdict: judgement.verdict,
      // A benign shape is only counted: any other action would have it told at each use.
      action: judgement.verdict === "benign" ? "observe" : judgement.action,
      rule: index < 0 ? null : index,
      source,
    };
  }

  #switch(): void {
    const stable = this.#stable!.slot.index;
    const candidate = this.#candidate;
    const commit = this.#kernel.prepareSwitch({
      stable,
      candidate: candidate?.loaded.slot.index ?? stable,
      share: candidate?.share ?? 10_000,
      newProcessesOnly: candidate?.newProcessesOnly ?? false,
    });
    commit();
    this.#holding.switched(this.live().flatMap(({ parts }) => parts.map(({ rules }) => rules)));
  }

  #retire(loaded: Loaded, sinceMs: number): void {
    if (!this.#retired.some(each => each.loaded === loaded)) this.#retired.push({ loaded, sinceMs });
  }

  #discardOldest(): void {
    const oldest = this.#retired.shift();
    if (oldest) this.discard(oldest.loaded);
  }

  #recall(loaded: Loaded): void {
    const at = this.#retired.findIndex(each => each.loaded === loaded);
    if (at >= 0) this.#retired.splice(at, 1);
  }

  #releaseInherited(): void {
    for (const index of this.#inherited)
      if (!this.#all().some(({ slot }) => slot.index === index)) this.#kernel.clearSlot(index);
    this.#inherited = new Set();
    this.#predecessor = null;
  }

  /** By which somebody is judged now. */
  live(): Loaded[] {
    return [this.#stable, this.#candidate?.loaded].filter(loaded => loaded !== null && loaded !== undefined);
  }

  #all(): Loaded[] {
    return [...this.live(), ...this.#retired.map(({ loaded }) => loaded)];
  }

  #spare(): number {
    for (;;) {
      const used = new Set([...this.#all().map(({ slot }) => slot.index), ...this.#inherited]);
      for (let index = 0; index < SLOTS_MAX; index++) if (!used.has(index)) return index;
      // Two live versions at most: there is always a retired one to give up.
      this.#discardOldest();
    }
  }
}

/** The first that wants more of a connection's profile than to learn decides; so the higher one is asked first. */
export const byRuleSet = (left: Part, right: Part): number =>
  right.rules.precedence - left.rules.precedence || (left.ruleSet < right.ruleSet ? -1 : 1);

function* usesOf(slot: Slot): Generator<[bigint, number]> {
  for (const [fingerprint, { count }] of slot.verdicts()) if (count > 0n) yield [fingerprint, Number(count)];
}
