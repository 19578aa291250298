/**
 * Signed profiles of this node's workloads: verified by the release keys that this node trusts, then each template judged again by
 * the rules that run here, as a statement made of it. What those call hostile, and the profile does not vouch for by
 * rule, is left out and counted. The rest is known here as if it had been learned.
 */
import { statementOfTemplate } from "@picket/judge/replay";
import { defaultSession } from "@picket/judge/session";
import type { TemplateExport } from "@picket/shared/profile";
import { err, ok, type Result } from "@picket/shared/result";
import { verifyProfile } from "@picket/shared/signed-profile";
import type { Trust } from "@picket/shared/trust-format";
import type { Versions } from "../rules/versions.ts";
import type { Profiles } from "./profiles.ts";

export class SignedProfiles {
  readonly #versions: Pick<Versions, "stable" | "judge">;
  readonly #profiles: Profiles;
  readonly #workloads: () => string[];
  readonly #changed: () => void;
  readonly #nowMs: () => number;

  constructor(input: {
    versions: Pick<Versions, "stable" | "judge">;
    profiles: Profiles;
    workloads: () => string[];
    /** What is known here has changed. */
    changed: () => void;
    nowMs: () => number;
  }) {
    this.#versions = input.versions;
    this.#profiles = input.profiles;
    this.#workloads = input.workloads;
    this.#changed = input.changed;
    this.#nowMs = input.nowMs;
  }

  get profiles(): Profiles {
    return this.#profiles;
  }

  /** Whose profiles to ask for. */
  workloads(): string[] {
    return [...new Set([...this.#workloads(), ...this.#profiles.list().map(({ workload }) => workload)])];
  }

  /** Takes it in, or says why not. */
  async take(envelope: unknown, trust: Pick<Trust, "keys" | "threshold">): Promise<Result<null, string>> {
    const verified = verifyProfile(envelope, { trust, nowMs: this.#nowMs() });
    if (!verified.ok) return err(`${verified.error.code}: ${verified.error.detail}`);
    const { signed } = verified.value;
    if (signed.version <= this.#profiles.signedVersion(signed.profile)) return ok(null);
    const honest: TemplateExport[] = [];
    for (const template of signed.profile.templates)
      if (await this.#isHonest(template)) honest.push(template);
    if (!this.#profiles.adopt(signed, honest, this.#nowMs()))
      return err("there is no room for another profile");
    this.#changed();
    return ok(null);
  }

  async #isHonest({ words, dialect, rules: vouched }: TemplateExport): Promise<boolean> {
    const loaded = this.#versions.stable;
    if (!loaded) return false;
    const sql = statementOfTemplate(words.split("\n"), dialect);
    const judgement = this.#versions.judge(loaded, { sql, dialect, session: defaultSession(dialect) });
    const { verdict, rules } = (await judgement.escalate?.()) ?? judgement;
    return verdict === "benign" || (rules.length > 0 && rules.every(rule => vouched.includes(rule)));
  }
}
