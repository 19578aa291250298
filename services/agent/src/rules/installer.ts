/**
 * Brings a rule set's assigned version into the kernel, or says why not: verify → object → compile → load into a
 * spare slot → self-test → switch. Every failure keeps what enforces; the outcome is what the node reports.
 *
 * One at a time: an assignment that comes while another is installed waits for it.
 *
 * All rule sets of the node are judged by in one slot. There are two: what every process is judged by, and what a share
 * of them is: the same, but with the candidates in their place.
 */
import { createHash } from "node:crypto";
import type { ReleaseKey } from "@picket/shared/bundle";
import type { Assignment, Installed } from "@picket/shared/contract";
import { type BundleDigest, RuleSetName, type RuleVersion } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import type { Log } from "../log.ts";
import {
  bundleOf,
  byName,
  givenTo,
  isWhole,
  NOTHING,
  objectOf,
  type Plan,
  partsOf,
  type Running,
  type Runs,
  WHOLE,
} from "./plan.ts";
import type { LastGood } from "./store.ts";
import { type Downloads, fromDisk, NO_DOWNLOADS, type Source, Supply, type SupplyInput } from "./supply.ts";
import type { Twins } from "./twin.ts";
import { isPassing, type Refusal } from "./verify.ts";
import { byRuleSet, type Loaded, type Part, Versions } from "./versions.ts";

export type InstallerInput = SupplyInput & {
  versions: Versions;
  twins: () => Pick<Twins, "of" | "begin" | "goOn" | "end" | "forget">;
  log: Log;
  /** Something changed: report it. */
  changed: () => void;
};

export class Installer {
  readonly #input: InstallerInput;
  readonly #supply: Supply;
  readonly #installed = new Map<RuleSetName, Installed>();
  #queue: Promise<unknown> = Promise.resolve();
  #plan = NOTHING;
  #localVersion = 0;

  constructor(input: InstallerInput) {
    this.#input = input;
    this.#supply = new Supply(input);
  }

  installed(): Installed[] {
    return [...this.#installed.values()];
  }

  /** Whether any version is loaded. */
  get judges(): boolean {
    return this.#input.versions.stable !== null;
  }

  /** The same or an older generation is not installed again. Resolves when the outcome is known. */
  assign(assignment: Assignment, from: Source): Promise<Installed | null> {
    return this.#enqueue(async () => {
      const known = this.#installed.get(assignment.ruleSet);
      if (known && !isWanted(assignment, known)) return known;
      const outcome =
        assignment.mode === "twin"
          ? await this.#installTwin(assignment, from)
          : await this.#install(assignment, from);
      if (!outcome.ok) this.#refuse(assignment, outcome.error);
      this.#input.changed();
      return this.#installed.get(assignment.ruleSet) ?? null;
    });
  }

  /** What was good before the restart, all together; its expiry and the floor do not end it. */
  restore(keys: readonly ReleaseKey[]): Promise<void> {
    return this.#enqueue(async () => {
      const kept = this.#input.store.kept();
      const obtained = async (goods: readonly LastGood[]) => {
        const running: Running[] = [];
        for (const good of goods) {
          const each = await this.#supply.obtain(good.assignment, fromDisk(good, keys), false);
          if (each.ok) running.push(each.value);
          else this.#notRestored(good.assignment, each.error);
        }
        return byName(running);
      };
      const whole = await obtained(kept.whole);
      // With nothing beside it a candidate would judge what every process sends.
      const plan = {
        whole,
        candidates: whole.size > 0 ? await obtained(kept.candidates) : NOTHING.candidates,
      };
      const applied = await this.#apply(plan, null, NO_DOWNLOADS);
      if (applied.ok) {
        for (const { assignment } of plan.whole.values()) this.#tell(assignment);
        for (const { assignment } of this.#plan.candidates.values()) this.#tell(assignment);
        return;
      }
      // Together they are no version of this agent: one after another, those that are.
      for (const running of whole.values()) {
        const { assignment } = running;
        const more = new Map(this.#plan.whole).set(assignment.ruleSet, running);
        const outcome = await this.#apply({ ...NOTHING, whole: more }, running, NO_DOWNLOADS);
        if (outcome.ok) this.#tell(assignment);
        else this.#notRestored(assignment, outcome.error);
      }
    });
  }

  /** Not a refusal of a new version: the reconcile timer installs it anew. */
  #notRestored({ ruleSet }: Assignment, because: Refusal): void {
    this.#input.log.error(because, `the last good ${ruleSet} could not be restored`);
  }

  /**
   * Rules that nobody signed: the directory of an agent that is not enrolled, or the core rules alone. All files
   * together are one version; one wrong file keeps the last good version of all.
   */
  installLocal(files: readonly { name: string; text: string }[], reported: boolean): Promise<void> {
    return this.#enqueue(async () => {
      const { versions, shipped, nowMs, log } = this.#input;
      this.#localVersion += 1;
      const version = this.#localVersion as RuleVersion;
      const parts: Part[] = [];
      for (const { name, text } of files) {
        const compiled = this.#input.compile(text, name);
        const refused = !compiled.ok
          ? compiled.error
          : parts.some(({ ruleSet }) => ruleSet === compiled.value.ruleSet)
            ? `${name}: another file holds the rule set ${compiled.value.ruleSet} too`
            : null;
        if (refused !== null || !compiled.ok) {
          this.#refuseLocal(name, version, { code: "compile-failed", detail: refused ?? name });
          return;
        }
        const bundle = createHash("sha256").update(text).digest("hex") as BundleDigest;
        parts.push({ ruleSet: compiled.value.ruleSet, version, bundle, rules: compiled.value });
      }
      const loaded = await versions.prepare(parts.sort(byRuleSet), shipped.read());
      if (!loaded.ok) {
        this.#refuseLocal(files.map(({ name }) => name).join(", "), version, loaded.error);
        return;
      }
      versions.makeStable(loaded.value, nowMs());
      this.#installed.clear();
      const slot = loaded.value.slot.index;
      log.info({ ruleSets: parts.map(({ ruleSet }) => ruleSet), version, slot }, "rules are active");
      if (reported)
        for (const { ruleSet, bundle } of parts)
          this.#installed.set(ruleSet, {
            kind: "active",
            ruleSet,
            version,
            bundle,
            assignment: null,
            generation: 0,
            share: WHOLE,
            slot,
            since: new Date(nowMs()).toISOString(),
          });
      this.#input.changed();
    });
  }

  #refuseLocal(name: string, version: RuleVersion, because: Refusal): void {
    const { log, nowMs } = this.#input;
    log.error({ file: name, ...because }, "the rules are refused; what was active goes on");
    const before = [...this.#installed.values()];
    // Which rule set a broken file holds is not known: the refusal stands under the file's name.
    const ruleSet = RuleSetName.safeParse(name.replace(/\.ya?ml$/, "").toLowerCase());
    const named = before[0]?.ruleSet ?? (ruleSet.success ? ruleSet.data : ("local" as RuleSetName));
    this.#installed.set(named, {
      kind: "kept-last-good",
      ruleSet: named,
      version: before[0]?.version ?? null,
      refused: version,
      assignment: null,
      generation: 0,
      because: { code: because.code, detail: because.detail.slice(0, 4_000) },
      since: new Date(nowMs()).toISOString(),
    });
    this.#input.changed();
  }

  forget(): void {
    this.#input.twins().forget();
    this.#installed.clear();
    this.#plan = NOTHING;
    this.#input.store.forget();
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  async #install(assignment: Assignment, from: Source): Promise<Result<null, Refusal>> {
    const { store, log, versions } = this.#input;
    const { ruleSet, version, bundle, share } = assignment;
    await this.#input.twins().end(ruleSet);
    const { whole, candidates } = this.#plan;
    const without = new Map(candidates);
    without.delete(ruleSet);
    // No process is given to it: where it is not loaded, there is nothing to load it for.
    if (share === 0 && versions.stable) {
      const applied = await this.#apply({ whole, candidates: without }, null, from.downloads);
      if (!applied.ok) return applied;
      this.#keep();
      this.#tell(assignment);
      return ok(null);
    }
    const known = [candidates.get(ruleSet), whole.get(ruleSet)].find(each => each?.part.bundle === bundle);
    const obtained = known
      ? ok({ ...known, assignment, good: { ...known.good, assignment } })
      : await this.#supply.obtain(assignment, from, true);
    if (!obtained.ok) return obtained;
    const running = obtained.value;
    // A share of the processes, when all are judged by it already, takes it from nobody.
    const plan =
      isWhole(assignment) || whole.get(ruleSet)?.part.bundle === bundle
        ? { whole: new Map(whole).set(ruleSet, running), candidates: without }
        : { whole, candidates: new Map(candidates).set(ruleSet, running) };
    const applied = await this.#apply(plan, running, from.downloads);
    if (!applied.ok) return applied;
    store.raiseFloor(ruleSet, bundleOf(running.good).floor);
    this.#keep();
    this.#tell(assignment);
    const slot = this.#slotOf(ruleSet);
    log.info({ ruleSet, version, share, slot }, "rules are active");
    return ok(null);
  }

  /**
   * Loads what the plan asks for, and switches to it. What is refused of `newest` leaves everything as it was;
   * candidates of other rule sets that cannot stand beside it any more are given up, and said to be refused.
   */
  async #apply(plan: Plan, newest: Running | null, downloads: Downloads): Promise<Result<null, Refusal>> {
    const { versions, nowMs } = this.#input;
    const whole = await this.#load(plan.whole, newest, downloads);
    if (!whole.ok) return whole;
    const merged = new Map([...plan.whole, ...plan.candidates]);
    if (whole.value && whole.value !== versions.stable) versions.makeStable(whole.value, nowMs());
    const candidate = plan.candidates.size > 0 ? await this.#load(merged, newest, downloads) : ok(null);
    if (!candidate.ok && newest && plan.candidates.has(newest.assignment.ruleSet)) return candidate;
    this.#plan = candidate.ok ? plan : { whole: plan.whole, candidates: new Map() };
    if (candidate.ok && candidate.value) {
      const { share, newProcessesOnly } = givenTo(plan.candidates);
      versions.makeCandidate(candidate.value, share, newProcessesOnly, nowMs());
    } else if (versions.candidate) versions.dropCandidate(nowMs());
    for (const [ruleSet, told] of this.#installed) {
      // Local rules, before this node was enrolled: they judge no more.
      if (told.assignment === null && plan.whole.size > 0) this.#installed.delete(ruleSet);
      else if (told.kind === "active")
        this.#installed.set(ruleSet, { ...told, slot: this.#slotOf(ruleSet), share: this.#shareOf(told) });
    }
    if (!candidate.ok)
      for (const { assignment } of plan.candidates.values()) this.#refuse(assignment, candidate.error);
    return ok(null);
  }

  /**
   * It is tried as for a switch, so that what this kernel or the self-test has against it shows, and then judges
   * without a slot. Nothing of it is kept on disk: after a restart it is assigned again.
   */
  async #installTwin(assignment: Assignment, from: Source): Promise<Result<null, Refusal>> {
    const { versions, log } = this.#input;
    const { ruleSet, version, bundle } = assignment;
    const twins = this.#input.twins();
    const before = twins.of(ruleSet);
    if (before && before.bundle !== bundle) await twins.end(ruleSet);
    const { mode: _, beside, ...rest } = assignment;
    const isBeside =
      this.#plan.whole.get(ruleSet)?.part.bundle === beside?.bundle && !this.#plan.candidates.has(ruleSet);
    if (beside && !isBeside) {
      const stable: Assignment = { ...rest, ...beside, share: WHOLE, scope: "all" };
      const outcome = await this.#install(stable, from);
      if (!outcome.ok) {
        const detail = `version ${beside.version}, beside which it is to judge: ${outcome.error.detail}`;
        return err({ ...outcome.error, detail });
      }
    }
    if (!versions.stable)
      return err({ code: "unsupported", detail: "nothing enforces here beside which it could judge" });
    if (twins.of(ruleSet)) twins.goOn(assignment);
    else {
      const obtained = await this.#supply.obtain(assignment, from, true);
      if (!obtained.ok) return obtained;
      const { part, good } = obtained.value;
      const object = await this.#supply.object(objectOf(good), from.downloads);
      if (!object.ok) return object;
      const parts = partsOf(new Map(this.#plan.whole).set(ruleSet, obtained.value));
      const rehearsed = await versions.rehearse(parts, object.value);
      if (!rehearsed.ok) return rehearsed;
      twins.begin(assignment, part, name => this.#plan.whole.has(name) || this.#plan.candidates.has(name));
    }
    this.#tell(assignment);
    log.info({ ruleSet, version, beside: beside?.version ?? null }, "a twin judges and enforces nothing");
    return ok(null);
  }

  /** As one slot; null: there is nothing to load. */
  async #load(
    runs: Runs,
    newest: Running | null,
    downloads: Downloads,
  ): Promise<Result<Loaded | null, Refusal>> {
    const parts = partsOf(runs);
    const loaded = this.#input.versions.find(Versions.key(parts));
    if (loaded || parts.length === 0) return ok(loaded ?? null);
    // Of several programs the newest assigned one's.
    const { good } =
      [...runs.values()].find(each => each === newest) ??
      [...runs.values()].reduce((a, b) => (b.assignment.generation > a.assignment.generation ? b : a));
    const object = await this.#supply.object(objectOf(good), downloads);
    return object.ok ? this.#input.versions.prepare(parts, object.value) : object;
  }

  #slotOf(ruleSet: RuleSetName): number {
    const { stable, candidate } = this.#input.versions;
    const by = this.#plan.candidates.has(ruleSet) ? (candidate?.loaded ?? stable) : stable;
    return by!.slot.index;
  }

  #tell(assignment: Assignment): void {
    const { id, ruleSet, version, bundle, generation, mode } = assignment;
    this.#installed.set(ruleSet, {
      kind: "active",
      ruleSet,
      version,
      bundle,
      assignment: id,
      generation,
      // A twin judges what every process sends.
      share: this.#shareOf({
        ruleSet,
        share: mode === "twin" || isWhole(assignment) ? WHOLE : assignment.share,
      }),
      slot: this.#slotOf(ruleSet),
      ...(mode === "twin" && { twin: { beside: this.#enforced(ruleSet) } }),
      since: new Date(this.#input.nowMs()).toISOString(),
    });
  }

  /** Candidates of several rule sets share one slot, and so the smallest of their shares. */
  #shareOf({ ruleSet, share }: Pick<Installed & { kind: "active" }, "ruleSet" | "share">): number {
    return this.#plan.candidates.has(ruleSet) ? givenTo(this.#plan.candidates).share : share;
  }

  #enforced(ruleSet: RuleSetName): RuleVersion | null {
    return this.#plan.whole.get(ruleSet)?.part.version ?? null;
  }

  #keep(): void {
    const { store } = this.#input;
    const goods = (runs: Runs) => [...runs.values()].map(({ good }) => good);
    const kept = { whole: goods(this.#plan.whole), candidates: goods(this.#plan.candidates) };
    store.keep(kept);
    store.forgetObjectsExcept([...kept.whole, ...kept.candidates].map(objectOf));
  }

  #refuse(assignment: Assignment, because: Refusal): void {
    const { log, nowMs } = this.#input;
    const { ruleSet, version, id, generation } = assignment;
    const { whole, candidates } = this.#plan;
    const before = this.#installed.get(ruleSet);
    const goesOn = (candidates.get(ruleSet) ?? whole.get(ruleSet))?.part.version;
    log.error({ ruleSet, version, ...because }, "a rule version is refused; what was active goes on");
    this.#installed.set(ruleSet, {
      kind: "kept-last-good",
      ruleSet,
      version: goesOn ?? (before?.assignment === null ? before.version : null),
      refused: version,
      assignment: id,
      generation,
      because: { code: because.code, detail: because.detail.slice(0, 4_000) },
      since: new Date(nowMs()).toISOString(),
    });
  }
}

/**
 * An older generation never is; the same one only where what failed is no fault of the version, or where a restart
 * brought back only what a twin judges beside.
 */
function isWanted({ generation, bundle }: Assignment, known: Installed): boolean {
  if (generation !== known.generation) return generation > known.generation;
  if (known.kind === "active") return known.bundle !== bundle;
  return isPassing(known.because);
}
