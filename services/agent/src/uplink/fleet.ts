/**
 * What an enrolled agent does with its control plane, until it leaves or stops: waits for assignments, reconciles on
 * a timer (a lost message only delays), uploads the spool, and reports. With the control plane away every loop backs
 * off by itself and the node goes on judging.
 */
import { randomUUID } from "node:crypto";
import type { Assignment, Report } from "@picket/shared/contract";
import { FULL_PACE, PollWait, returnDelayMs } from "@picket/shared/pace";
import { err, ok, type Result } from "@picket/shared/result";
import type { Immunity } from "../immunity/immunity.ts";
import type { Log } from "../log.ts";
import type { SignedProfiles } from "../profiles/signed.ts";
import type { Installer } from "../rules/installer.ts";
import type { Source } from "../rules/supply.ts";
import type { Twins } from "../rules/twin.ts";
import { isPassing } from "../rules/verify.ts";
import type { Spool } from "../spool/spool.ts";
import { backoffMs } from "./backoff.ts";
import { connectControlPlane, explain } from "./control-plane.ts";
import { Doorbell } from "./doorbell.ts";
import { closeHttp } from "./http.ts";
import { type Enrolment, nodeKey, nodeKeyMadeMs, rotationIsUnderWay, tokenSource } from "./identity.ts";
import { keepRunning } from "./loop.ts";
import { nextKeyCheckMs, rotateNodeKey } from "./rotation.ts";
import type { ShapeLedger } from "./shapes.ts";
import { sleep } from "./sleep.ts";
import { NodeTrust } from "./trust.ts";
import { startUpload } from "./upload.ts";

const SHAPES_FIRST_MS = 15_000;
/** What a lost call left to be told of shared verdicts. */
const ANSWERS_MS = 30_000;
/** That one call may name. */
const WORKLOADS_MAX = 50;
/** Changes that come together are one report. */
const SETTLE_MS = 100;

export type Fleet = {
  /** Something changed: report soon. */
  report(): void;
  /** There are new events in the spool. */
  upload(): void;
  /** This node found something hostile. */
  claim(): void;
  /** Changes the node's key now; the answer is the new public key. */
  rotateKey(): Promise<Result<string, string>>;
  stop(): Promise<void>;
};

export function joinFleet(input: {
  enrolment: Enrolment;
  stateDirectory: string;
  keyLifetimeMs: number;
  spool: Spool;
  installer: Installer;
  makeReport: () => Promise<Report>;
  /** Reading the kernel's counts costs a walk over its map, so this is not done often. */
  shapes: { ledger: Pick<ShapeLedger, "batches">; intervalMs: number };
  /** Null: this node takes no part in what the fleet shares. */
  immunity: Immunity | null;
  profiles: SignedProfiles;
  twins: { twins: Pick<Twins, "any" | "look" | "reports">; intervalMs: number };
  log: Log;
}): Fleet {
  const { enrolment, spool, installer, makeReport, immunity, profiles, log } = input;
  const stop = new AbortController();
  const { signal } = stop;
  const { stateDirectory } = input;
  const tokens = tokenSource(nodeKey(stateDirectory), enrolment.node);
  const controlPlane = connectControlPlane(enrolment.url, tokens, signal, log);
  const trust = new NodeTrust({ enrolment, stateDirectory, log });
  const from: Source = {
    trust: () => trust.now,
    renew: () => trust.follow(controlPlane),
    downloads: {
      bundle: async digest => {
        const answer = await controlPlane.bundle(digest);
        return answer.ok ? ok(answer.value) : err(explain(answer.error));
      },
      object: async digest => {
        const answer = await controlPlane.object(digest);
        return answer.ok ? ok(answer.value) : err(explain(answer.error));
      },
    },
  };

  const uploader = startUpload({ spool, controlPlane, log, signal });
  /** As the control plane said last. */
  let pace = FULL_PACE;
  const changed = new Doorbell();
  const claiming = new Doorbell();
  const answering = new Doorbell();
  /** Changed by hand, and nobody knows which of two keys holds. */
  const keyFailed = new Doorbell();
  /** Until the next start: what is wrong in itself is not read again. */
  const refusedProfiles = new Set<string>();

  /** What is not this version's fault is tried again until it is installed or replaced. */
  async function install(assignment: Assignment): Promise<boolean> {
    const outcome = await installer.assign(assignment, from);
    return !(outcome?.kind === "kept-last-good" && isPassing(outcome.because));
  }

  async function listen(): Promise<void> {
    let failures = 0;
    const wait = new PollWait();
    while (!signal.aborted) {
      const askedMs = performance.now();
      const lease = await controlPlane.poll(immunity?.shared.position() ?? null, wait.seconds(pace));
      if (signal.aborted) return;
      if (!lease.ok) {
        failures += 1;
        wait.lost((performance.now() - askedMs) / 1_000);
        if (failures === 1) log.warn(`waiting for assignments: ${explain(lease.error)}`);
        const spread = failures === 1 ? returnDelayMs(pace, Math.random()) : 0;
        await sleep(backoffMs(failures, Math.random()) + spread, signal);
        continue;
      }
      if (failures > 0) log.info("the control plane answers again");
      failures = 0;
      if (!lease.value) {
        wait.ended();
        continue;
      }
      if ("report" in lease.value) {
        changed.ring();
        continue;
      }
      if ("verdicts" in lease.value) {
        if (!(await readVerdicts())) await sleep(backoffMs(3, Math.random()), signal);
        continue;
      }
      // Not acknowledged, the lease ends and the assignment comes again.
      if (await install(lease.value.assignment)) await controlPlane.acknowledge(lease.value.assignment.id);
      else await sleep(backoffMs(3, Math.random()), signal);
    }
  }

  async function reconcile(): Promise<void> {
    while (!signal.aborted) {
      const desired = await controlPlane.desired();
      if (desired.ok && (desired.value.trust ?? 0) > trust.now.version) await trust.follow(controlPlane);
      if (desired.ok) for (const assignment of desired.value.assignments) await install(assignment);
      await readVerdicts();
      await readProfiles();
      await sleep(pace.reconcile * 1_000 * (0.5 + Math.random()), signal);
    }
  }

  /** What other nodes found hostile, since it was last read; then the word of what is believed. */
  async function readVerdicts(): Promise<boolean> {
    const shared = immunity?.shared;
    for (let after = shared?.position() ?? null; shared && after !== null; ) {
      const feed = await controlPlane.verdicts(after);
      if (!feed.ok) return false;
      const { items, last, more } = feed.value;
      await shared.receive(items, last);
      after = more && last > after ? last : null;
    }
    answering.ring();
    return true;
  }

  /** What was reviewed and signed for this node's workloads, since it was last taken in. */
  async function readProfiles(): Promise<void> {
    const workloads = profiles.workloads();
    for (let at = 0; at < workloads.length; at += WORKLOADS_MAX)
      await readProfilesOf(workloads.slice(at, at + WORKLOADS_MAX));
  }

  async function readProfilesOf(workloads: readonly string[]): Promise<void> {
    const list = await controlPlane.signedProfiles(workloads);
    if (!list.ok) return;
    for (const { digest, version, ...identity } of list.value.items) {
      if (signal.aborted) return;
      // Refused by these keys; others may come.
      const attempt = `${trust.now.version} ${digest}`;
      if (version <= profiles.profiles.signedVersion(identity) || refusedProfiles.has(attempt)) continue;
      const envelope = await controlPlane.signedProfile(digest);
      if (!envelope.ok) continue;
      const taken = await profiles.take(envelope.value, trust.now);
      if (taken.ok) log.info({ ...identity, version }, "a signed profile was taken in");
      else {
        refusedProfiles.add(attempt);
        log.warn({ ...identity, version }, `a signed profile is refused: ${taken.error}`);
      }
    }
  }

  /** Level-triggered: what was not told is told at the next ring, or after a while. */
  async function answer(): Promise<void> {
    while (immunity && !signal.aborted) {
      await answering.wait(ANSWERS_MS, signal);
      for (let answers = immunity.shared.answers(); answers.length > 0; ) {
        const told = await controlPlane.answerVerdicts(answers);
        if (!told.ok || signal.aborted) break;
        immunity.shared.answered(answers);
        answers = immunity.shared.answers();
      }
    }
  }

  async function claim(): Promise<void> {
    let failures = 0;
    while (immunity && !signal.aborted) {
      await claiming.wait(ANSWERS_MS, signal);
      while (immunity.claims.waiting && !signal.aborted) {
        const claims = immunity.claims.batch();
        const told = await controlPlane.claim(claims);
        // What is wrong in itself would be refused for ever.
        if (told.ok || (told.error.kind === "refused" && told.error.code === "invalid"))
          immunity.claims.arrived(claims);
        failures = told.ok ? 0 : failures + 1;
        if (told.ok) continue;
        if (failures === 1) log.warn(`what was found hostile could not be told: ${explain(told.error)}`);
        await sleep(backoffMs(failures, Math.random()), signal);
      }
    }
  }

  async function report(): Promise<void> {
    const epoch = randomUUID();
    let sequence = 0;
    let failures = 0;
    while (!signal.aborted) {
      const answer = await controlPlane.report({
        ...(await makeReport()),
        order: { epoch, sequence: ++sequence },
        trust: trust.now.version,
      });
      if (signal.aborted) return;
      failures = answer.ok ? 0 : failures + 1;
      if (!answer.ok && failures === 1) log.warn(`the report did not arrive: ${explain(answer.error)}`);
      if (answer.ok) {
        pace = answer.value?.pace ?? pace;
        await changed.wait(pace.report * 1_000 * (0.8 + 0.4 * Math.random()), signal);
        await sleep(SETTLE_MS, signal);
      } else await sleep(backoffMs(failures, Math.random()), signal);
    }
  }

  /** What was not told stays to be told: the next round has newer totals of it. */
  async function tellShapes(): Promise<void> {
    const { ledger, intervalMs } = input.shapes;
    await sleep(Math.min(SHAPES_FIRST_MS, intervalMs) * (0.8 + 0.4 * Math.random()), signal);
    while (!signal.aborted) {
      for (const { batch, arrived } of ledger.batches()) {
        const answer = await controlPlane.shapes(batch);
        if (signal.aborted) return;
        if (!answer.ok) break;
        arrived();
      }
      for (const { offer, arrived } of profiles.profiles.offers()) {
        const answer = await controlPlane.offerProfile(offer);
        if (signal.aborted) return;
        if (!answer.ok) break;
        arrived();
      }
      await sleep(intervalMs * (0.8 + 0.4 * Math.random()), signal);
    }
  }

  /** What a twin would judge otherwise; of one that ended, until it has arrived. */
  async function tellTwins(): Promise<void> {
    const { twins, intervalMs } = input.twins;
    while (!signal.aborted) {
      await sleep(intervalMs * (0.8 + 0.4 * Math.random()), signal);
      if (twins.any) await twins.look();
      for (const { report, arrived } of twins.reports()) {
        const answer = await controlPlane.twin(report);
        if (signal.aborted) return;
        // What is wrong in itself would be refused for ever.
        if (answer.ok || (answer.error.kind === "refused" && answer.error.status < 500)) arrived();
        else break;
      }
    }
  }

  let rotating: Promise<Result<string, string>> | null = null;
  /** One at a time: who asks meanwhile gets the same answer. */
  function rotateKey(): Promise<Result<string, string>> {
    rotating ??= rotateNodeKey({ stateDirectory, node: enrolment.node, tokens, controlPlane }).finally(() => {
      rotating = null;
    });
    return rotating;
  }

  /** At its age, and soon where a rotation was cut short. */
  async function keepKeyFresh(): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const dueMs = nodeKeyMadeMs(stateDirectory) + input.keyLifetimeMs - Date.now();
      if (dueMs <= 0 || rotationIsUnderWay(stateDirectory)) {
        const rotated = await rotateKey();
        if (signal.aborted) return;
        failures = rotated.ok ? 0 : failures + 1;
        if (rotated.ok) log.info({ publicKey: rotated.value }, "the node has a new key");
        else if (failures === 1) log.warn(`the node keeps its key: ${rotated.error}`);
      } else failures = 0;
      await keyFailed.wait(nextKeyCheckMs(failures, Math.random()), signal);
    }
  }

  const loops = [
    uploader.stopped,
    ...Object.entries({ listen, reconcile, report, tellShapes, tellTwins, claim, answer, keepKeyFresh }).map(
      ([name, loop]) => keepRunning(name, loop, { log, signal }),
    ),
  ];
  return {
    report: () => changed.ring(),
    upload: () => uploader.nudge(),
    claim: () => claiming.ring(),
    async rotateKey() {
      const rotated = await rotateKey();
      if (!rotated.ok) keyFailed.ring();
      return rotated;
    },
    async stop() {
      stop.abort();
      await Promise.all(loops);
      closeHttp();
    },
  };
}
