/**
 * Brings a rule set's assigned version into the kernel, or says why not: verify → object → compile → load into a
 * spare slot → self-test → switch. Every failure keeps what enforces; the outcome is what the node reports.
 *
 * One at a time: an assignment that comes while another is installed waits for it.
 */
import { createHash } from "node:crypto";
import type { Bundle, ReleaseKey } from "@picket/shared/bundle";
import type { Assignment, Installed } from "@picket/shared/contract";
import { type BundleDigest, type ObjectDigest, RuleSetName, type RuleVersion } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import type { Trust } from "@picket/shared/trust-format";
import type { Log } from "../log.ts";
import type { CompiledRules } from "./judging.ts";
import type { Kept, LastGood, RuleStore } from "./store.ts";
import type { Twins } from "./twin.ts";
import { type Refusal, verifyAssigned } from "./verify.ts";
import { byRuleSet, type Loaded, type Part, Versions } from "./versions.ts";

const WHOLE = 10_000;

export type Downloads = {
  bundle(digest: BundleDigest): Promise<Result<unknown, string>>;
  object(digest: ObjectDigest): Promise<Result<Buffer, string>>;
};

/** Where an assigned version comes from, and by whom it must be signed. */
export type Source = {
  trust(): Trust;
  /** Asks whether the keys have changed; true: they have. */
  renew(): Promise<boolean>;
  downloads: Downloads;
};

export type InstallerInput = {
  versions: Versions;
  twins: () => Pick<Twins, "of" | "begin" | "goOn" | "end" | "forget">;
  store: RuleStore;
  /** The slot program that ships with this agent, by digest: most bundles name it. */
  shipped: { digest: ObjectDigest; read(): Buffer };
  compile: (ruleText: string, name: string) => Result<CompiledRules, string>;
  abi: number;
  kernel: string;
  nowMs: () => number;
  log: Log;
  /** Something changed: report it. */
  changed: () => void;
};

/** What this node runs of one rule set, as it was assigned. */
type Running = { assignment: Assignment; part: Part; good: LastGood };

export class Installer {
  readonly #input: InstallerInput;
  readonly #running = new Map<string, Running>();
  readonly #installed = new Map<string, Installed>();
  #queue: Promise<unknown> = Promise.resolve();
  #stable: LastGood | null = null;
  #localVersion = 0;

  constructor(input: InstallerInput) {
    this.#input = input;
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
          : await this.#install(assignment, from, true);
      if (!outcome.ok) this.#refuse(assignment, outcome.error);
      this.#input.changed();
      return this.#installed.get(assignment.ruleSet) ?? null;
    });
  }

  /** What was good before the restart; its expiry and the floor do not end it. */
  restore(keys: readonly ReleaseKey[]): Promise<void> {
    return this.#enqueue(async () => {
      const { stable, candidate } = this.#input.store.kept();
      for (const kept of [stable, candidate]) {
        if (!kept) continue;
        const outcome = await this.#install(
          kept.assignment,
          {
            // It was good when it was installed: one key that counted then is enough to know it again.
            trust: () => ({ version: 0, threshold: 1, keys: [...keys] }),
            renew: async () => false,
            downloads: {
              bundle: async () => ok(kept.envelope),
              object: async () => err("it is not on this disk any more"),
            },
          },
          false,
        );
        if (outcome.ok) continue;
        this.#input.log.error(
          outcome.error,
          `the last good ${kept.assignment.ruleSet} could not be restored`,
        );
        // Not a refusal of a new version: the reconcile timer installs it anew.
      }
    });
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
    this.#running.clear();
    this.#installed.clear();
    this.#stable = null;
    this.#input.store.forget();
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  async #install(assignment: Assignment, from: Source, installing: boolean): Promise<Result<null, Refusal>> {
    const { store, log, versions } = this.#input;
    await this.#input.twins().end(assignment.ruleSet);
    const kept = this.#running.get(assignment.ruleSet);
    // No process is given to it: where it is not loaded, there is nothing to load it for.
    if (!kept && assignment.share === 0 && versions.stable) {
      this.#tell(assignment, versions.stable.slot.index);
      return ok(null);
    }
    const obtained =
      kept && kept.assignment.bundle === assignment.bundle
        ? ok({ ...kept, assignment, good: { ...kept.good, assignment } })
        : await this.#obtain(assignment, from, installing);
    if (!obtained.ok) return obtained;
    const running = obtained.value;
    const loaded = await this.#load(running, from.downloads);
    if (!loaded.ok) return loaded;
    this.#switch(running, loaded.value);
    if (installing) store.raiseFloor(assignment.ruleSet, bundleOf(running.good).floor);
    this.#keep(running);
    const { ruleSet, version, share } = assignment;
    log.info(
      { ruleSet, version, share, slot: loaded.value.slot.index, ordinal: loaded.value.ordinal },
      "rules are active",
    );
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
    const enforcing = this.#running.get(ruleSet)?.assignment;
    if (beside && !(enforcing?.bundle === beside.bundle && isWhole(enforcing))) {
      const stable: Assignment = { ...rest, ...beside, share: WHOLE, scope: "all" };
      const outcome = await this.#install(stable, from, true);
      if (!outcome.ok) {
        const detail = `version ${beside.version}, beside which it is to judge: ${outcome.error.detail}`;
        return err({ ...outcome.error, detail });
      }
    }
    if (!versions.stable)
      return err({ code: "unsupported", detail: "nothing enforces here beside which it could judge" });
    if (twins.of(ruleSet)) twins.goOn(assignment);
    else {
      const obtained = await this.#obtain(assignment, from, true);
      if (!obtained.ok) return obtained;
      const { part, good } = obtained.value;
      const object = await this.#object(objectOf(good), from.downloads);
      if (!object.ok) return object;
      const rehearsed = await versions.rehearse(this.#partsWith(part), object.value);
      if (!rehearsed.ok) return rehearsed;
      twins.begin(assignment, part, name => this.#running.has(name));
    }
    this.#tell(assignment, versions.stable.slot.index);
    log.info({ ruleSet, version, beside: beside?.version ?? null }, "a twin judges and enforces nothing");
    return ok(null);
  }

  /** Downloaded, verified, compiled. */
  async #obtain(
    assignment: Assignment,
    { trust, renew, downloads }: Source,
    installing: boolean,
  ): Promise<Result<Running, Refusal>> {
    const { store, nowMs } = this.#input;
    // Going back to what is still stable here needs no download.
    const at = this.#stable?.assignment.bundle === assignment.bundle ? this.#stable.envelope : null;
    const fetched = at ? ok(at) : await downloads.bundle(assignment.bundle);
    if (!fetched.ok) return err({ code: "download-failed", detail: fetched.error });
    const verify = () =>
      verifyAssigned(fetched.value, {
        ...trust(),
        floorOf: ruleSet => store.floorOf(ruleSet),
        nowMs: nowMs(),
        abi: this.#input.abi,
        kernel: this.#input.kernel,
        installing,
        expected: assignment,
      });
    let verified = verify();
    // Signed by keys that this node has not heard of: it hears of them now, or refuses.
    if (!verified.ok && ofSigners.has(verified.error.code) && (await renew())) verified = verify();
    if (!verified.ok) return verified;
    const { bundle } = verified.value;
    const compiled = this.#input.compile(bundle.ruleText, `${bundle.ruleSet} ${bundle.version}`);
    if (!compiled.ok) return err({ code: "compile-failed", detail: compiled.error.slice(0, 4_000) });
    return ok({
      assignment,
      part: {
        ruleSet: bundle.ruleSet,
        version: bundle.version,
        bundle: assignment.bundle,
        rules: compiled.value,
        delegation: bundle.delegation,
      },
      good: { assignment, envelope: fetched.value as LastGood["envelope"] },
    });
  }

  /** All rule sets that this node runs, with this one in its new version. */
  #partsWith(part: Part): Part[] {
    const others = [...this.#running.values()].filter(each => each.part.ruleSet !== part.ruleSet);
    return [...others.map(each => each.part), part].sort(byRuleSet);
  }

  /** As one slot. */
  async #load(running: Running, downloads: Downloads): Promise<Result<Loaded, Refusal>> {
    const parts = this.#partsWith(running.part);
    const loaded = this.#input.versions.find(Versions.key(parts));
    if (loaded) return ok(loaded);
    const object = await this.#object(objectOf(running.good), downloads);
    return object.ok ? this.#input.versions.prepare(parts, object.value) : object;
  }

  #switch({ assignment }: Running, loaded: Loaded): void {
    const { versions, nowMs } = this.#input;
    if (isWhole(assignment) || loaded === versions.stable) versions.makeStable(loaded, nowMs());
    else versions.makeCandidate(loaded, assignment.share, assignment.scope === "new-processes", nowMs());
    this.#tell(assignment, loaded.slot.index);
  }

  #tell(assignment: Assignment, slot: number): void {
    const { id, ruleSet, version, bundle, generation, share, mode } = assignment;
    this.#installed.set(ruleSet, {
      kind: "active",
      ruleSet,
      version,
      bundle,
      assignment: id,
      generation,
      // A twin judges what every process sends.
      share: isWhole(assignment) || mode === "twin" ? WHOLE : share,
      slot,
      ...(mode === "twin" && { twin: { beside: this.#enforced(ruleSet) } }),
      since: new Date(this.#input.nowMs()).toISOString(),
    });
  }

  #enforced(ruleSet: string): RuleVersion | null {
    return this.#running.get(ruleSet)?.part.version ?? null;
  }

  #keep(running: Running): void {
    const { store } = this.#input;
    this.#running.set(running.part.ruleSet, running);
    const { assignment } = running;
    const whole = isWhole(assignment);
    if (whole) this.#stable = running.good;
    const kept: Kept = whole
      ? { stable: running.good, candidate: null }
      : { stable: this.#stable, candidate: running.good };
    store.keep(kept);
    const digests = [...this.#running.values()].map(({ good }) => objectOf(good));
    store.forgetObjectsExcept([...digests, ...(this.#stable ? [objectOf(this.#stable)] : [])]);
  }

  #refuse(assignment: Assignment, because: Refusal): void {
    const { log, nowMs } = this.#input;
    const { ruleSet, version, id, generation } = assignment;
    const before = this.#installed.get(ruleSet);
    log.error({ ruleSet, version, ...because }, "a rule version is refused; what was active goes on");
    this.#installed.set(ruleSet, {
      kind: "kept-last-good",
      ruleSet,
      version: before?.kind === "active" && before.twin ? before.twin.beside : (before?.version ?? null),
      refused: version,
      assignment: id,
      generation,
      because: { code: because.code, detail: because.detail.slice(0, 4_000) },
      since: new Date(nowMs()).toISOString(),
    });
  }

  /** From this agent, from its disk, else from the control plane, and then kept. */
  async #object(digest: ObjectDigest, downloads: Downloads): Promise<Result<Buffer, Refusal>> {
    const { shipped, store } = this.#input;
    const here = digest === shipped.digest ? shipped.read() : store.object(digest);
    if (here) return ok(here);
    const fetched = await downloads.object(digest);
    if (!fetched.ok) return err({ code: "download-failed", detail: fetched.error });
    store.keepObject(digest, fetched.value);
    return fetched;
  }
}

const isWhole = ({ share, scope }: Assignment): boolean => share >= WHOLE && scope === "all";

/**
 * An older generation never is; the same one only where the download was all that failed, or where a restart brought
 * back only what a twin judges beside.
 */
function isWanted({ generation, bundle }: Assignment, known: Installed): boolean {
  if (generation !== known.generation) return generation > known.generation;
  if (known.kind === "active") return known.bundle !== bundle;
  return known.because.code === "download-failed";
}

const ofSigners: ReadonlySet<string> = new Set(["foreign-key", "too-few-signatures"]);

function bundleOf({ envelope }: LastGood): Bundle {
  return JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")) as Bundle;
}

const objectOf = (good: LastGood): ObjectDigest => bundleOf(good).objects.slot;
