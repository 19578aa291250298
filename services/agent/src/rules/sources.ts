/**
 * Where this node's rules come from, one source at a time: the control plane once it is enrolled; else a directory,
 * where one is set; else the core rules alone. Joining and leaving switch between them; what is active goes on until
 * the new source has something to install.
 */

import type { Report } from "@picket/shared/contract";
import type { JoinRequest, Status } from "@picket/shared/control-socket";
import type { Labels } from "@picket/shared/vocabulary";
import type { Config } from "../config.ts";
import type { Immunity } from "../immunity/immunity.ts";
import type { Log } from "../log.ts";
import type { SignedProfiles } from "../profiles/signed.ts";
import { Refused } from "../refusal.ts";
import type { Spool } from "../spool/spool.ts";
import { backoffMs } from "../uplink/backoff.ts";
import type { Fleet } from "../uplink/fleet.ts";
import { type Enrolment, forgetEnrolment } from "../uplink/identity.ts";
import type { ShapeLedger } from "../uplink/shapes.ts";
import { sleep } from "../uplink/sleep.ts";
import { CORE_ONLY } from "./compile.ts";
import { EMPTY_DIRECTORY, readRuleDirectory, watchRuleDirectory } from "./directory.ts";
import type { Installer } from "./installer.ts";
import type { Twins } from "./twin.ts";

export class RuleSources {
  readonly #config: Config;
  readonly #installer: Installer;
  readonly #spool: Spool;
  readonly #log: Log;
  readonly #makeReport: () => Promise<Report>;
  readonly #shapes: Pick<ShapeLedger, "batches">;
  readonly #immunity: Immunity | null;
  readonly #profiles: SignedProfiles;
  readonly #twins: Twins;
  readonly #stop = new AbortController();
  #enrolment: Enrolment | null;
  #fleet: Fleet | null = null;
  #directory: { stop: AbortController; stopped: Promise<void> } | null = null;
  #enrolling: Promise<void> | null = null;

  constructor(input: {
    config: Config;
    installer: Installer;
    spool: Spool;
    log: Log;
    makeReport: () => Promise<Report>;
    shapes: Pick<ShapeLedger, "batches">;
    immunity: Immunity | null;
    profiles: SignedProfiles;
    twins: Twins;
    enrolment: Enrolment | null;
  }) {
    this.#config = input.config;
    this.#installer = input.installer;
    this.#spool = input.spool;
    this.#log = input.log;
    this.#makeReport = input.makeReport;
    this.#shapes = input.shapes;
    this.#immunity = input.immunity;
    this.#profiles = input.profiles;
    this.#twins = input.twins;
    this.#enrolment = input.enrolment;
  }

  /** When it resolves, something judges. */
  async start(): Promise<void> {
    if (this.#enrolment) {
      await this.#installer.restore([...this.#enrolment.releaseKeys, ...this.#enrolment.formerKeys]);
      if (!this.#installer.judges) await this.#core(false);
      await this.#joined(this.#enrolment);
      return;
    }
    await this.#local();
    if (this.#config.join) this.#enrolling = this.#enrolUntilItWorks(this.#config.join);
  }

  status(): Pick<Status, "enrolled" | "rulesFrom"> {
    return {
      enrolled: this.#enrolment ? { node: this.#enrolment.node, url: this.#enrolment.url } : null,
      rulesFrom: this.#enrolment ? "control-plane" : this.#directory ? "directory" : "none",
    };
  }

  get labels(): Labels {
    return this.#enrolment?.labels ?? this.#config.labels;
  }

  async join({ url, token, labels }: JoinRequest): Promise<void> {
    if (this.#enrolment)
      throw new Refused(
        "already-enrolled",
        `this node is enrolled at ${this.#enrolment.url} as ${this.#enrolment.node}; leave first`,
      );
    await this.#enrol(url, token, { ...this.#config.labels, ...labels });
  }

  async leave(): Promise<void> {
    if (!this.#enrolment) throw new Refused("not-enrolled", "this node is not enrolled");
    await this.#fleet?.stop();
    this.#fleet = null;
    forgetEnrolment(this.#config.stateDirectory);
    this.#enrolment = null;
    this.#installer.forget();
    this.#immunity?.shared.forget();
    await this.#local();
  }

  /** The new public key. */
  async rotateKey(): Promise<string> {
    if (!this.#fleet) throw new Refused("not-enrolled", "this node is not enrolled");
    const rotated = await this.#fleet.rotateKey();
    if (rotated.ok) return rotated.value;
    throw new Refused("control-plane-away", `the node keeps its key: ${rotated.error}`);
  }

  reportSoon(): void {
    this.#fleet?.report();
  }

  claimSoon(): void {
    this.#fleet?.claim();
  }

  uploadSoon(): void {
    this.#fleet?.upload();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#directory?.stop.abort();
    await this.#enrolling;
    await this.#directory?.stopped;
    await this.#fleet?.stop();
  }

  async #enrol(url: string, joinToken: string, labels: Record<string, string>): Promise<void> {
    const { EnrolError, enrol } = await import("../uplink/enrol.ts");
    try {
      this.#enrolment = await enrol({ config: this.#config, url, joinToken, labels });
    } catch (error) {
      if (!(error instanceof EnrolError)) throw error;
      throw new Refused(error.retryable ? "control-plane-away" : "enrolment-refused", error.message);
    }
    this.#directory?.stop.abort();
    await this.#directory?.stopped;
    this.#directory = null;
    this.#log.info({ node: this.#enrolment.node, url: this.#enrolment.url }, "enrolled");
    await this.#joined(this.#enrolment);
  }

  async #joined(enrolment: Enrolment): Promise<void> {
    // Only an enrolled agent keeps the uplink in memory.
    const { joinFleet } = await import("../uplink/fleet.ts");
    this.#fleet = joinFleet({
      enrolment,
      stateDirectory: this.#config.stateDirectory,
      keyLifetimeMs: this.#config.keyLifetimeMs,
      spool: this.#spool,
      installer: this.#installer,
      makeReport: this.#makeReport,
      shapes: { ledger: this.#shapes, intervalMs: this.#config.shapesIntervalMs },
      immunity: this.#immunity,
      profiles: this.#profiles,
      twins: { twins: this.#twins, intervalMs: this.#config.twinIntervalMs },
      log: this.#log,
    });
  }

  /** At start: a control plane that comes up later than its agents is no reason to fail. */
  async #enrolUntilItWorks({ url, token }: { url: string; token: string }): Promise<void> {
    for (let attempt = 1; !this.#stop.signal.aborted && !this.#enrolment; attempt++) {
      try {
        await this.#enrol(url, token, this.#config.labels);
        return;
      } catch (error) {
        this.#log.warn({ error: (error as Error).message }, "not enrolled yet");
        if (error instanceof Refused && error.code === "enrolment-refused") return;
        await sleep(backoffMs(attempt, Math.random(), { firstMs: 500, mostMs: 15_000 }), this.#stop.signal);
      }
    }
  }

  async #local(): Promise<void> {
    const directory = this.#config.rulesDirectory;
    if (!directory) {
      await this.#core(true);
      return;
    }
    // What is there now is installed before anything is attached; later changes as they come.
    const installed = await this.#fromDirectory(directory);
    if (!installed) await this.#core(true);
    const stop = new AbortController();
    const stopped = watchRuleDirectory({
      directory,
      signal: stop.signal,
      taken: installed ?? EMPTY_DIRECTORY,
      changed: async ({ files }) => {
        if (files.length === 0) await this.#core(true);
        else await this.#installer.installLocal(files, true);
      },
      failed: error => this.#log.error({ error: error.message }, "the rules directory cannot be read"),
    });
    this.#directory = { stop, stopped };
  }

  /** The digest of what was installed, or null. */
  async #fromDirectory(directory: string): Promise<string | null> {
    try {
      const { digest, files } = readRuleDirectory(directory);
      if (files.length === 0) return null;
      await this.#installer.installLocal(files, true);
      return this.#installer.judges ? digest : null;
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, "the rules directory cannot be read");
      return null;
    }
  }

  async #core(reported: boolean): Promise<void> {
    await this.#installer.installLocal([{ name: "core rules", text: CORE_ONLY }], reported);
  }
}
