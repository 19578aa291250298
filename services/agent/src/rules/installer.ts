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
import { type Refusal, verifyAssigned } from "./verify.ts";
import { type Loaded, type Part, Versions } from "./versions.ts";

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
      const outcome = await this.#install(assignment, from, true);
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

  async #install(
    assignment: Assignment,
    { trust, renew, downloads }: Source,
    installing: boolean,
  ): Promise<Result<null, Refusal>> {
    const { store, log, nowMs } = this.#input;
    // A twin must not enforce, and a slot cannot yet judge beside another one.
    if (assignment.mode === "twin")
      return err({ code: "unsupported", detail: "this agent cannot run a twin beside the stable version" });
    const kept = this.#running.get(assignment.ruleSet);
    let running: Running;
    if (kept && kept.assignment.bundle === assignment.bundle) {
      running = { ...kept, assignment, good: { ...kept.good, assignment } };
    } else {
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
      running = {
        assignment,
        part: {
          ruleSet: bundle.ruleSet,
          version: bundle.version,
          bundle: assignment.bundle,
          rules: compiled.value,
          delegation: bundle.delegation,
        },
        good: { assignment, envelope: fetched.value as LastGood["envelope"] },
      };
    }
    const loaded = await this.#load(running, downloads);
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

  /** All rule sets that this node runs, with the assigned one in its new version, as one slot. */
  async #load(running: Running, downloads: Downloads): Promise<Result<Loaded, Refusal>> {
    const others = [...this.#running.values()].filter(({ part }) => part.ruleSet !== running.part.ruleSet);
    const parts = [...others.map(({ part }) => part), running.part].sort(byRuleSet);
    const loaded = this.#input.versions.find(Versions.key(parts));
    if (loaded) return ok(loaded);
    const object = await this.#object(objectOf(running.good), downloads);
    return object.ok ? this.#input.versions.prepare(parts, object.value) : object;
  }

  #switch({ assignment, part }: Running, loaded: Loaded): void {
    const { versions, nowMs } = this.#input;
    const whole = assignment.share >= WHOLE && assignment.scope === "all";
    if (whole || loaded === versions.stable) versions.makeStable(loaded, nowMs());
    else versions.makeCandidate(loaded, assignment.share, assignment.scope === "new-processes", nowMs());
    this.#installed.set(assignment.ruleSet, {
      kind: "active",
      ruleSet: part.ruleSet,
      version: part.version,
      bundle: part.bundle,
      assignment: assignment.id,
      generation: assignment.generation,
      share: whole ? WHOLE : assignment.share,
      slot: loaded.slot.index,
      since: new Date(nowMs()).toISOString(),
    });
  }

  #keep(running: Running): void {
    const { store } = this.#input;
    this.#running.set(running.part.ruleSet, running);
    const { assignment } = running;
    const whole = assignment.share >= WHOLE && assignment.scope === "all";
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
      version: before?.version ?? null,
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

/** An older generation never is; the same one only where the download was all that failed. */
function isWanted({ generation }: Assignment, known: Installed): boolean {
  if (generation !== known.generation) return generation > known.generation;
  return known.kind === "kept-last-good" && known.because.code === "download-failed";
}

const ofSigners: ReadonlySet<string> = new Set(["foreign-key", "too-few-signatures"]);

/** The first that wants more of a connection's profile than to learn decides; so the higher one is asked first. */
const byRuleSet = (left: Part, right: Part): number =>
  right.rules.precedence - left.rules.precedence || (left.ruleSet < right.ruleSet ? -1 : 1);

function bundleOf({ envelope }: LastGood): Bundle {
  return JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")) as Bundle;
}

const objectOf = (good: LastGood): ObjectDigest => bundleOf(good).objects.slot;
