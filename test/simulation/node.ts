/**
 * A node without a kernel: it speaks the contract over real sockets as the agent does (long poll, acknowledge,
 * install, report, reconcile, upload), and can be told to misbehave. Chance comes from a seed, so that a run can be
 * repeated. What it saw is handed to an observer; nothing in here reaches into the control plane.
 */
import { type KeyObject, randomUUID } from "node:crypto";
import { backoffMs } from "@picket/agent/uplink/backoff";
import { Doorbell } from "@picket/agent/uplink/doorbell";
import type { Delegation } from "@picket/shared/bundle-format";
import {
  type Assignment,
  Desired,
  type Installed,
  Polled,
  type Report,
  ReportAnswer,
  type VersionCounters,
} from "@picket/shared/contract";
import { SharedVerdictFeed, type VerdictAnswer } from "@picket/shared/immunity";
import { FULL_PACE, type Pace, PollWait, returnDelayMs } from "@picket/shared/pace";
import { verifySharedVerdict } from "@picket/shared/shared-verdict";
import { type Address, type Answer, Connection } from "./connection.ts";
import { nodeToken } from "./identity.ts";

export interface Behaviour {
  /**
   * As an agent that runs for a while and was told this pace: it polls, reports and reconciles at it, and at what it is
   * told from now on, and says again what did not arrive.
   */
  paced: Pace | null;
  /** What a long poll asks for, not paced. */
  waitS: number;
  /** Verify, compile, load, test, switch: how long it takes at least and at most. */
  installMs: readonly [number, number];
  /** Report what is installed as soon as it changes. */
  reportsChanges: boolean;
  /** Null: never by itself. */
  reportEveryMs: number | null;
  reconcileEveryMs: number | null;
  /** How far its clock is ahead. */
  clockAheadMs: number;
  /** Probabilities. */
  acknowledgementLost: number;
  reportTwice: number;
  /** A report is held back and sent after the next one. */
  reportLate: number;
  /** Says that it runs the version after the one that it was given. */
  lies: boolean;
  /** Refuses every version above it, as a kernel's verifier would. */
  refusesAbove: number | null;
  /** Drops its connections after about so long, and stays away as long. */
  flapMs: number | null;
  /** Reports so many times a second, whatever it is told. */
  floodPerSecond: number;
  /** Honest statements that its reports count, by the version it runs. */
  statementsPerSecond: number;
}

export const HONEST: Behaviour = {
  paced: null,
  waitS: 25,
  installMs: [0, 0],
  reportsChanges: true,
  reportEveryMs: null,
  reconcileEveryMs: null,
  clockAheadMs: 0,
  acknowledgementLost: 0,
  reportTwice: 0,
  reportLate: 0,
  lies: false,
  refusesAbove: null,
  flapMs: null,
  floodPerSecond: 0,
  statementsPerSecond: 0,
};

/** How its database answers: the share of each bucket [2^i, 2^(i+1)) µs from 32 µs on, and of errors. */
const LATENCY_FROM = 5;
const LATENCY = [0.6, 0.25, 0.1, 0.03, 0.02];
const ERRORS = 0.001;
/** The kernel clocks every so many-th. */
const TIMED_EACH = 16;

/** What happened to it, as it saw it. */
export type Seen =
  | { kind: "waiting" }
  | { kind: "delivered"; assignment: Assignment; by: "lease" | "desired" }
  | { kind: "acknowledged"; assignment: Assignment }
  | { kind: "installed"; assignment: Assignment }
  | { kind: "answered"; answers: readonly VerdictAnswer[] }
  /** `news`: it had installed something since it said so last. */
  | { kind: "reported"; installed: readonly Installed[]; news: boolean }
  | { kind: "refused"; status: number; call: string }
  | { kind: "lost"; call: string };

export interface Ends {
  gateway: Address;
  /** One connection, or a few shared ones as behind a TLS terminator. */
  api: { request: Connection["request"] };
  /** The loopback address that it comes from. */
  from?: string;
}

const noneYet = (
  ruleSet: VersionCounters["ruleSet"],
  version: VersionCounters["version"],
): VersionCounters => ({
  ruleSet,
  version,
  statements: 0,
  known: 0,
  unknown: 0,
  neverKnown: 0,
  blocked: 0,
  severed: 0,
  wouldBlock: 0,
  responses: { ok: 0, errors: 0, latencyLog2Us: Array<number>(24).fill(0) },
});

export class SimulatedNode {
  readonly id: string;
  readonly labels: Record<string, string>;
  behaviour: Behaviour;
  /** By rule set. */
  readonly installed = new Map<string, Installed>();
  readonly #key: KeyObject;
  readonly #ends: Ends;
  readonly #delegations: readonly Delegation[];
  /** How far it has read shared verdicts. */
  #readTo = 0;
  readonly #see: (seen: Seen) => void;
  readonly #random: () => number;
  readonly #startedMs = Date.now();
  #gateway: Connection;
  #stopped = false;
  #away = false;
  readonly #timers = new Set<NodeJS.Timeout>();
  #held: string | null = null;
  readonly #epoch = randomUUID();
  #sequence = 0;
  #countedMs = Date.now();
  /** By rule set. */
  readonly #counters = new Map<string, VersionCounters>();
  #correctionMs = 0;
  #pace = FULL_PACE;
  readonly #changed = new Doorbell();
  /** Installed since the last report. */
  #news = false;
  readonly #stop = new AbortController();

  constructor(input: {
    id: string;
    key: KeyObject;
    labels?: Record<string, string>;
    /** Whose shared verdicts it reads, verifies and answers, without judging them; none: it takes no part. */
    delegations?: readonly Delegation[];
    ends: Ends;
    behaviour?: Partial<Behaviour>;
    see?: (seen: Seen) => void;
    random?: () => number;
  }) {
    this.id = input.id;
    this.#key = input.key;
    this.labels = input.labels ?? {};
    this.#ends = input.ends;
    this.#delegations = input.delegations ?? [];
    this.behaviour = { ...HONEST, ...input.behaviour };
    this.#see = input.see ?? (() => {});
    this.#random = input.random ?? Math.random;
    this.#gateway = new Connection(input.ends.gateway, input.ends.from);
  }

  /** Lives until stop(). */
  start(): void {
    void this.#listen();
    const { paced, reportEveryMs, reconcileEveryMs, flapMs, floodPerSecond } = this.behaviour;
    if (paced) {
      this.#pace = paced;
      void this.#reportAtPace();
      void this.#reconcileAtPace();
    }
    if (reportEveryMs !== null) void this.#every(reportEveryMs, () => this.report());
    if (reconcileEveryMs !== null) void this.#every(reconcileEveryMs, () => this.reconcile());
    if (flapMs !== null) void this.#every(flapMs, () => this.#flap(flapMs));
    if (floodPerSecond > 0) void this.#every(1_000 / floodPerSecond, () => this.report());
  }

  stop(): void {
    this.#stopped = true;
    this.#stop.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#gateway.close();
  }

  get token(): string {
    return nodeToken(this.#key, this.id, Date.now() + this.behaviour.clockAheadMs - this.#correctionMs);
  }

  /** As the agent: a refusal may be for the clock, and the answer says what the control plane's is. */
  #refused({ status, date }: Answer): void {
    const foundMs = Date.now() + this.behaviour.clockAheadMs - Date.parse(date ?? "");
    if (status === 401 && Math.abs(foundMs - this.#correctionMs) > 5_000) this.#correctionMs = foundMs;
  }

  /** Loses its connection to the gateway, as when the host's network goes. */
  disconnect(): void {
    this.#gateway.close();
  }

  async #listen(): Promise<void> {
    let failures = 0;
    const wait = new PollWait();
    while (!this.#stopped) {
      if (this.#away) {
        await this.#sleep(50);
        continue;
      }
      let answer: Answer;
      const askedMs = performance.now();
      try {
        const asked = this.#gateway.request(
          "GET",
          `/v1/agent/assignments?wait=${this.behaviour.paced ? wait.seconds(this.#pace) : this.behaviour.waitS}${this.#delegations.length > 0 ? `&verdicts=${this.#readTo}` : ""}`,
          this.token,
        );
        this.#see({ kind: "waiting" });
        answer = await asked;
      } catch {
        if (this.#stopped) return;
        this.#see({ kind: "lost", call: "poll" });
        wait.lost((performance.now() - askedMs) / 1_000);
        const spread = ++failures === 1 ? returnDelayMs(this.#pace, this.#random()) : 0;
        await this.#sleep(backoffMs(failures, this.#random()) + spread);
        continue;
      }
      if (answer.status === 200) {
        failures = 0;
        const polled = Polled.parse(JSON.parse(answer.body));
        if ("report" in polled) this.#changed.ring();
        else if ("verdicts" in polled) await this.#readVerdicts();
        else await this.#deliver(polled.assignment, "lease");
      } else if (answer.status === 204) {
        failures = 0;
        wait.ended();
      } else {
        this.#refused(answer);
        this.#see({ kind: "refused", status: answer.status, call: "poll" });
        wait.lost((performance.now() - askedMs) / 1_000);
        await this.#sleep((answer.retryAfterS ?? 0) * 1_000 + backoffMs(++failures, this.#random()));
      }
    }
  }

  async #readVerdicts(): Promise<void> {
    const answer = await this.#call(this.#ends.api, "GET", `/v1/agent/verdicts?after=${this.#readTo}`);
    if (!answer) return;
    const { items, last } = SharedVerdictFeed.parse(JSON.parse(answer.body));
    this.#readTo = last;
    const answers = items.flatMap((envelope): VerdictAnswer[] => {
      const verified = verifySharedVerdict(envelope, { delegations: this.#delegations, nowMs: Date.now() });
      return verified.ok && verified.value.verdict.kind === "deny"
        ? [{ verdict: verified.value.verdict.id, because: null }]
        : [];
    });
    if (answers.length === 0) return;
    const body = JSON.stringify({ answers });
    if (await this.#call(this.#ends.api, "POST", "/v1/agent/verdicts/answers", body))
      this.#see({ kind: "answered", answers });
  }

  async #deliver(assignment: Assignment, by: "lease" | "desired"): Promise<void> {
    this.#see({ kind: "delivered", assignment, by });
    const changed = await this.#install(assignment);
    if (by === "lease" && this.#random() >= this.behaviour.acknowledgementLost) {
      const done = await this.#call(
        this.#gateway,
        "POST",
        `/v1/agent/assignments/${assignment.id}/ack`,
        "{}",
      );
      if (done) this.#see({ kind: "acknowledged", assignment });
    }
    if (!changed || !this.behaviour.reportsChanges) return;
    if (this.behaviour.paced) this.#changed.ring();
    else await this.report();
  }

  /** As the agent's installer: an older generation is ignored, the same one changes nothing. */
  async #install(assignment: Assignment): Promise<boolean> {
    const before = this.installed.get(assignment.ruleSet);
    if (before && before.generation >= assignment.generation) return false;
    const [least, most] = this.behaviour.installMs;
    if (most > 0) await this.#sleep(least + (most - least) * this.#random());
    const { refusesAbove, lies } = this.behaviour;
    const common = {
      ruleSet: assignment.ruleSet,
      assignment: assignment.id,
      generation: assignment.generation,
      since: new Date().toISOString(),
    };
    const refuses = refusesAbove !== null && assignment.version > refusesAbove;
    this.installed.set(
      assignment.ruleSet,
      refuses
        ? {
            ...common,
            kind: "kept-last-good",
            version: before?.version ?? null,
            refused: assignment.version,
            because: { code: "verifier-refused", detail: "R1 invalid mem access 'scalar'" },
          }
        : {
            ...common,
            kind: "active",
            version: (lies ? assignment.version + 1 : assignment.version) as Assignment["version"],
            bundle: assignment.bundle,
            share: assignment.share,
            slot: 1,
          },
    );
    this.#news = true;
    this.#see({ kind: "installed", assignment });
    return true;
  }

  async reconcile(): Promise<void> {
    const answer = await this.#call(this.#ends.api, "GET", "/v1/agent/desired");
    if (!answer) return;
    for (const assignment of Desired.parse(JSON.parse(answer.body)).assignments) {
      const known = this.installed.get(assignment.ruleSet);
      if (known && known.generation >= assignment.generation) continue;
      await this.#deliver(assignment, "desired");
    }
  }

  async #reportAtPace(): Promise<void> {
    await this.#changed.wait(this.#pace.report * 1_000 * this.#random(), this.#stop.signal);
    for (let failures = 0; !this.#stopped; ) {
      const told = await this.report();
      failures = told ? 0 : failures + 1;
      if (told)
        await this.#changed.wait(this.#pace.report * 1_000 * (0.8 + 0.4 * this.#random()), this.#stop.signal);
      else await this.#sleep(backoffMs(failures, this.#random()));
    }
  }

  async #reconcileAtPace(): Promise<void> {
    await this.#sleep(this.#pace.reconcile * 1_000 * this.#random());
    while (!this.#stopped) {
      await this.reconcile();
      await this.#sleep(this.#pace.reconcile * 1_000 * (0.5 + this.#random()));
    }
  }

  /** False: it did not arrive, or not yet. */
  async report(): Promise<boolean> {
    const body = JSON.stringify(this.#makeReport());
    const news = this.#news;
    const { reportLate, reportTwice } = this.behaviour;
    if (this.#held === null && this.#random() < reportLate) {
      this.#held = body;
      this.#later(200 + 800 * this.#random(), () => void this.#sendHeld());
      return false;
    }
    const twice = this.#random() < reportTwice;
    const sent = await this.#call(this.#ends.api, "POST", "/v1/agent/report", body);
    if (sent) {
      this.#pace = ReportAnswer.parse(JSON.parse(sent.body)).pace;
      this.#news &&= !news;
      this.#see({ kind: "reported", installed: [...this.installed.values()], news });
    }
    if (twice) await this.#call(this.#ends.api, "POST", "/v1/agent/report", body);
    await this.#sendHeld();
    return sent !== null;
  }

  async events(events: unknown[]): Promise<boolean> {
    return (
      (await this.#call(this.#ends.api, "POST", "/v1/agent/events", JSON.stringify({ events }))) !== null
    );
  }

  async #sendHeld(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    if (held !== null && !this.#stopped) await this.#call(this.#ends.api, "POST", "/v1/agent/report", held);
  }

  /** What its database has answered since it said so last; counted as the agent counts, by version. */
  #countStatements(nowMs: number): void {
    const statements = this.#about(((nowMs - this.#countedMs) / 1_000) * this.behaviour.statementsPerSecond);
    this.#countedMs = nowMs;
    if (statements === 0) return;
    for (const { ruleSet, version } of this.installed.values()) {
      if (version === null) continue;
      const before = this.#counters.get(ruleSet);
      const earlier = before?.version === version ? before : noneYet(ruleSet, version);
      const errors = this.#about(statements * ERRORS);
      const { ok, errors: failed, latencyLog2Us } = earlier.responses!;
      this.#counters.set(ruleSet, {
        ...earlier,
        statements: earlier.statements + statements,
        known: earlier.known + statements,
        responses: {
          ok: ok + statements - errors,
          errors: failed + errors,
          latencyLog2Us: latencyLog2Us.map(
            (count, i) => count + this.#about(((LATENCY[i - LATENCY_FROM] ?? 0) * statements) / TIMED_EACH),
          ),
        },
      });
    }
  }

  /** A whole number whose mean is this. */
  #about(mean: number): number {
    return Math.floor(mean * (0.9 + 0.2 * this.#random()) + this.#random());
  }

  #makeReport(): Report {
    this.#sequence += 1;
    const nowMs = Date.now();
    this.#countStatements(nowMs);
    return {
      at: new Date(nowMs + this.behaviour.clockAheadMs).toISOString(),
      order: { epoch: this.#epoch, sequence: this.#sequence },
      agentVersion: "0.1.0",
      kernel: "6.18.0",
      labels: this.labels,
      installed: [...this.installed.values()],
      counters: [...this.#counters.values()],
      events: { emitted: 10, received: 10, lost: 0, spooled: 10, uploaded: 10 },
      losses: {},
      shapesLearned: 3,
      connections: [],
      connectionsTotal: 0,
      guarantees: {},
      overrides: [],
      agent: {
        residentBytes: 50_000_000,
        cpuSeconds: 1,
        uptimeSeconds: (nowMs - this.#startedMs) / 1_000 + this.#sequence / 1_000,
      },
      missing: [],
    };
  }

  /** Null when it was refused or lost; the observer has heard. */
  async #call(
    over: { request: Connection["request"] },
    method: string,
    path: string,
    body?: string,
  ): Promise<Answer | null> {
    if (this.#away || this.#stopped) return null;
    try {
      const answer = await over.request(method, path, this.token, body);
      if (answer.status < 300) return answer;
      this.#refused(answer);
      this.#see({ kind: "refused", status: answer.status, call: path });
    } catch {
      if (!this.#stopped) this.#see({ kind: "lost", call: path });
    }
    return null;
  }

  async #flap(aboutMs: number): Promise<void> {
    this.#away = true;
    this.#gateway.close();
    await this.#sleep(aboutMs * (0.5 + this.#random()));
    this.#away = false;
  }

  async #every(ms: number, work: () => Promise<unknown>): Promise<void> {
    await this.#sleep(ms * this.#random());
    while (!this.#stopped) {
      await work();
      await this.#sleep(ms * (0.8 + 0.4 * this.#random()));
    }
  }

  #later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  #sleep(ms: number): Promise<void> {
    return this.#stopped ? Promise.resolve() : new Promise(resolve => this.#later(ms, resolve));
  }
}
