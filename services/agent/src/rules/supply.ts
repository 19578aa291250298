/**
 * Where an assigned version comes from: the control plane, or this node's own disk after a restart. A bundle is fetched,
 * verified and compiled; the program that it names is this agent's own, on disk, or fetched and then kept.
 */
import type { ReleaseKey } from "@picket/shared/bundle";
import type { Assignment } from "@picket/shared/contract";
import type { BundleDigest, ObjectDigest } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import type { Trust } from "@picket/shared/trust-format";
import type { CompiledRules } from "./judging.ts";
import type { Running } from "./plan.ts";
import type { LastGood, RuleStore } from "./store.ts";
import { type Refusal, verifyAssigned } from "./verify.ts";

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

export type SupplyInput = {
  store: RuleStore;
  /** The slot program that ships with this agent, by digest: most bundles name it. */
  shipped: { digest: ObjectDigest; read(): Buffer };
  compile: (ruleText: string, name: string) => Result<CompiledRules, string>;
  abi: number;
  kernel: string;
  nowMs: () => number;
};

export class Supply {
  readonly #input: SupplyInput;

  constructor(input: SupplyInput) {
    this.#input = input;
  }

  /** Downloaded, verified, compiled. */
  async obtain(
    assignment: Assignment,
    { trust, renew, downloads }: Source,
    installing: boolean,
  ): Promise<Result<Running, Refusal>> {
    const { store, nowMs } = this.#input;
    const fetched = await downloads.bundle(assignment.bundle);
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

  /** From this agent, from its disk, else from the control plane, and then kept. */
  async object(digest: ObjectDigest, downloads: Downloads): Promise<Result<Buffer, Refusal>> {
    const { shipped, store } = this.#input;
    const here = digest === shipped.digest ? shipped.read() : store.object(digest);
    if (here) return ok(here);
    const fetched = await downloads.object(digest);
    if (!fetched.ok) return err({ code: "download-failed", detail: fetched.error });
    store.keepObject(digest, fetched.value);
    return fetched;
  }
}

export const NO_DOWNLOADS: Downloads = {
  bundle: async () => err("it is not on this disk any more"),
  object: async () => err("it is not on this disk any more"),
};

/** It was good when it was installed: one key that counted then is enough to know it again. */
export const fromDisk = ({ envelope }: LastGood, keys: readonly ReleaseKey[]): Source => ({
  trust: () => ({ version: 0, threshold: 1, keys: [...keys] }),
  renew: async () => false,
  downloads: { ...NO_DOWNLOADS, bundle: async () => ok(envelope) },
});

const ofSigners: ReadonlySet<string> = new Set(["foreign-key", "too-few-signatures"]);
