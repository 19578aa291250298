/**
 * Signed profiles of this node's workloads: verified by the release keys that this node trusts, then each template judged again by
 * the rules that run here, as a statement made of it. What those call hostile, and the profile does not vouch for by
 * rule, is left out and counted. The rest is known here as if it had been learned, by what this node itself found of it.
 */
import { statementOfTemplate } from "@picket/judge/replay";
import { defaultSession } from "@picket/judge/session";
import type { TemplateExport } from "@picket/shared/profile";
import { err, ok, type Result } from "@picket/shared/result";
import { verifyProfile } from "@picket/shared/signed-profile";
import type { Trust } from "@picket/shared/trust-format";
import { breather } from "../breather.ts";
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

  /** Whose profiles to ask for; while nothing judges here none, since nothing of them would be taken. */
  workloads(): string[] {
    if (!this.#versions.stable) return [];
    return [...new Set([...this.#workloads(), ...this.#profiles.list().map(({ workload }) => workload)])];
  }

  /** Takes it in, or says why not. */
  async take(envelope: unknown, trust: Pick<Trust, "keys" | "threshold">): Promise<Result<null, string>> {
    const verified = verifyProfile(envelope, { trust, nowMs: this.#nowMs() });
    if (!verified.ok) return err(`${verified.error.code}: ${verified.error.detail}`);
    const { signed } = verified.value;
    if (signed.version <= this.#profiles.signedVersion(signed.profile)) return ok(null);
    const honest: TemplateExport[] = [];
    const breathe = breather();
    for (const template of signed.profile.templates) {
      await breathe();
      const judged = await this.#judge(template);
      if (judged) honest.push(judged);
    }
    if (!(await this.#profiles.adopt(signed, honest, this.#nowMs())))
      return err("there is no room for another profile");
    this.#changed();
    return ok(null);
  }

  /**
   * What this node takes of a template; null: nothing. Its shapes and the rules that it is vouched for by are the
   * exporter's word, and one of another statement would let that statement pass: only what the judged statement itself
   * has and meets is taken. Its other shapes are found by their words.
   */
  async #judge(template: TemplateExport): Promise<TemplateExport | null> {
    const loaded = this.#versions.stable;
    const { words, dialect } = template;
    const made = statementOfTemplate(words.split("\n"), dialect);
    if (!loaded || !made) return null;
    const { sql, shapeSha256 } = made;
    const judgement = this.#versions.judge(loaded, { sql, dialect, session: defaultSession(dialect) });
    const { verdict, rules: met } = (await judgement.escalate?.()) ?? judgement;
    const rules = met.filter(rule => template.rules.includes(rule));
    const isVouchedFor = met.length > 0 && rules.length === met.length;
    return verdict === "benign" || isVouchedFor ? { ...template, shapes: [shapeSha256], rules } : null;
  }
}
