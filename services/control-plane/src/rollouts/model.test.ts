/**
 * The rollout against random fate: nodes join, fall silent, come back, refuse, change labels, lose events, restart;
 * people pause, resume, approve, promote, stop the fleet, abort, roll back; time passes. A small world carries out
 * what `pass` decides, as reconcile.ts does with rows, and after each event the invariants are looked at.
 */
import type { DomainCap, RolloutState } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { NodeId, RuleSetName, RuleVersion } from "@picket/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bucketOf, plan, selects, stepOf, thresholds } from "./cohort.ts";
import { after, type Decision, pass, type ReachedNode, type RolloutVerb } from "./core.ts";
import { countDomains, roomOf } from "./domains.ts";

const OLD = 1 as RuleVersion;
const NEW = 2 as RuleVersion;
const STALE_MS = 90_000;
const SELECTOR = { fleet: "x" };

interface SimulatedNode {
  id: NodeId;
  labels: Record<string, string>;
  generation: number;
  version: RuleVersion;
  installed: Installed | null;
  lastSeenMs: number;
  refuses: boolean;
  lost: number;
  /** In the rollout. */
  planned: {
    bucket: number;
    step: number;
    reachedMs: number | null;
    installedMs: number | null;
    lostAtStart: number;
  } | null;
}

export class SimulatedWorld {
  nowMs = 1_000_000;
  state: RolloutState = "running";
  step = 0;
  stepStartedMs = this.nowMs;
  approvedStep = -1;
  stop: { by: string; reason: string } | null = null;
  frozen = false;
  asks = false;
  nodes: SimulatedNode[] = [];
  readonly #plan: ReturnType<typeof plan<NodeId>>;
  readonly #limits: number[];
  /** Steps that a decision of the gate has opened. */
  opened = 0;
  broken: string[] = [];

  readonly percents: number[];
  readonly approvals: boolean[];
  readonly caps: DomainCap[];
  readonly settleMs: number;
  constructor(
    size: number,
    percents: number[],
    approvals: boolean[],
    caps: DomainCap[],
    settleMs: number,
    salt: string,
  ) {
    Object.assign(this, { percents, approvals, caps, settleMs });
    this.percents = percents;
    this.approvals = approvals;
    this.caps = caps;
    this.settleMs = settleMs;
    for (let i = 0; i < size; i++) this.nodes.push(this.#node(`n${i}`, i));
    this.#plan = plan(
      this.nodes.map(({ id }) => id),
      percents,
      [salt],
    );
    this.#limits = thresholds(percents, this.#plan.lowestBucket);
    for (const { node, bucket, step } of this.#plan.nodes)
      this.nodes.find(({ id }) => id === node)!.planned = planned(bucket, step);
  }

  #node(name: string, i: number): SimulatedNode {
    return {
      id: name as NodeId,
      labels: { ...SELECTOR, zone: "abc"[i % 3]! },
      generation: 1,
      version: OLD,
      installed: active(OLD, 1),
      lastSeenMs: this.nowMs,
      refuses: false,
      lost: 0,
      planned: null,
    };
  }

  join(): void {
    if (this.nodes.length < 40) this.nodes.push(this.#node(`j${this.nodes.length}`, this.nodes.length));
  }

  /** The node speaks: it takes what it should run, and reports. */
  speak(i: number): void {
    const node = this.nodes[i % this.nodes.length]!;
    node.lastSeenMs = this.nowMs;
    if (node.installed === null || node.installed.generation < node.generation)
      node.installed =
        node.refuses && node.version === NEW
          ? refused(NEW, node.generation)
          : active(node.version, node.generation);
  }

  speakAll(): void {
    this.nodes.forEach((_, i) => void this.speak(i));
  }

  ask(verb: RolloutVerb): void {
    const next = after(this.state, verb);
    if (next === null) return;
    if (this.state === "aborted" && next === "running") this.broken.push("what was aborted went on");
    this.state = next;
    if (verb === "resume") this.stepStartedMs = this.nowMs;
    if (verb === "roll-back") this.#back();
  }

  letGoOn(verb: "approve" | "promote"): void {
    if (this.state === "running" && (verb === "promote" || this.asks)) this.approvedStep = this.step + 1;
  }

  #assign(node: SimulatedNode, version: RuleVersion): void {
    if (node.version === version) return;
    node.version = version;
    node.generation += 1;
  }

  #back(): void {
    for (const node of this.nodes) if (node.planned?.reachedMs != null) this.#assign(node, OLD);
  }

  #shown(node: SimulatedNode): ReachedNode {
    return {
      hostname: node.id,
      labels: node.labels,
      target: { version: node.version, generation: node.generation },
      installed: node.installed,
      installedForMs: node.planned!.installedMs === null ? null : this.nowMs - node.planned!.installedMs,
      silent: this.nowMs - node.lastSeenMs > STALE_MS,
      absent: node.lastSeenMs < node.planned!.reachedMs! - STALE_MS,
      eventsLost: node.lost - node.planned!.lostAtStart,
    };
  }

  /** As reconcile.ts: read, decide, write. */
  reconcile(): Decision | null {
    if (this.state !== "running" && this.state !== "rolling-back") return null;
    if (this.state === "running") this.#moveIn();
    const reached = this.nodes.filter(node => node.planned?.reachedMs != null);
    for (const node of reached)
      if (
        node.planned!.installedMs === null &&
        node.installed?.kind === "active" &&
        node.installed.version === node.version &&
        node.installed.generation >= node.generation
      )
        node.planned!.installedMs = this.nowMs;
    const { tell, decided } = pass({
      state: this.state,
      ruleSet: "x" as RuleSetName,
      mode: "enforce",
      step: this.step,
      steps: this.percents.map((percent, i) => ({
        percent,
        soakMs: 60_000,
        requireApproval: this.approvals[i] ?? false,
      })),
      stepAgeMs: this.nowMs - this.stepStartedMs,
      approvedStep: this.approvedStep,
      lostEventsMax: 2,
      settings: { compare: "available", alpha: 0.01, askAfter: "1h" },
      askAfterMs: 3_600_000,
      stop: this.stop,
      frozen: this.frozen ? { untilMs: this.nowMs + 1, reason: "frozen" } : null,
      waiting: this.nodes
        .filter(
          node => node.planned !== null && node.planned.reachedMs === null && node.planned.step <= this.step,
        )
        .map(node => ({
          node: node.id,
          hostname: node.id,
          labels: node.labels,
          present: this.nowMs - node.lastSeenMs <= STALE_MS,
        })),
      nodes: reached.map(node => this.#shown(node)),
      domains: this.caps,
      settleMs: this.settleMs,
      domainSizes: countDomains(
        this.caps,
        this.nodes.filter(node => node.planned !== null),
      ),
      samples: { canary: [], control: [] },
    });
    if (tell.length > 0 && (this.stop || this.frozen))
      this.broken.push("told while the fleet was stopped or frozen");
    for (const id of tell) {
      const node = this.nodes.find(each => each.id === id)!;
      node.planned!.reachedMs = this.nowMs;
      node.planned!.lostAtStart = node.lost;
      this.#assign(node, NEW);
    }
    const { decision } = decided;
    this.asks = decision.kind === "wait" && decision.asks !== undefined;
    this.#carryOut(decision);
    if (tell.length > 0) this.#lookAtCaps(tell);
    return decision;
  }

  #moveIn(): void {
    for (const node of this.nodes) {
      const fits = selects(SELECTOR, node.labels);
      if (!fits && node.planned) {
        node.planned = null;
        this.#assign(node, OLD);
      }
      if (fits && node.planned === null) {
        const bucket = bucketOf(this.#plan.salt, node.id);
        node.planned = planned(bucket, stepOf(bucket, this.#limits));
      }
    }
  }

  #carryOut(decision: Decision): void {
    switch (decision.kind) {
      case "wait":
        return;
      case "advance":
        if (this.stop || this.frozen) this.broken.push("advanced while the fleet was stopped or frozen");
        if ((this.approvals[decision.to] ?? false) && this.approvedStep < decision.to)
          this.broken.push("a step that asks for approval began without it");
        if (decision.to !== this.step + 1) this.broken.push("a step was left out");
        this.#lookAtProof();
        this.step = decision.to;
        this.opened = decision.to;
        this.stepStartedMs = this.nowMs;
        for (const node of this.nodes)
          if (node.planned) Object.assign(node.planned, { lostAtStart: node.lost, installedMs: null });
        return;
      case "complete":
        this.#lookAtProof();
        this.state = "complete";
        for (const node of this.nodes)
          if (node.planned) {
            node.planned.reachedMs ??= this.nowMs;
            this.#assign(node, NEW);
          }
        return;
      case "roll-back":
        this.state = "rolling-back";
        this.#back();
        return;
      case "rolled-back":
        this.state = "rolled-back";
    }
  }

  /** Of what was told, nothing may be unproven but what was away. */
  #lookAtProof(): void {
    for (const node of this.nodes) {
      if (node.planned?.reachedMs == null || this.#shown(node).absent) continue;
      const { installed, generation, lastSeenMs } = node;
      if (installed?.kind !== "active" || installed.version !== NEW || installed.generation < generation)
        this.broken.push(`advanced over ${node.id}, which does not run it`);
      if (this.nowMs - lastSeenMs > STALE_MS) this.broken.push(`advanced over ${node.id}, which is silent`);
    }
  }

  /** A domain may be above its cap by misfortune (nodes fall silent), never by what was told. */
  #lookAtCaps(told: readonly NodeId[]): void {
    const changing = this.nodes.filter(
      node =>
        node.planned?.reachedMs != null && (told.includes(node.id) || this.#isUnproven(node, node.planned)),
    );
    const counts = countDomains(this.caps, changing);
    const sizes = countDomains(
      this.caps,
      this.nodes.filter(({ planned }) => planned !== null),
    );
    for (const cap of this.caps)
      for (const id of told) {
        const domain = `${cap.label}=${this.nodes.find(node => node.id === id)!.labels[cap.label] ?? ""}`;
        const room = roomOf(cap, sizes.get(domain)!);
        if (counts.get(domain)! > room)
          this.broken.push(`${domain}: ${counts.get(domain)} change at once, ${room} may`);
      }
  }

  /** In words of its own, not the function's: it was told, was not away then, and has not run it long enough since. */
  #isUnproven(
    { installed, version, generation, lastSeenMs }: SimulatedNode,
    { reachedMs, installedMs }: NonNullable<SimulatedNode["planned"]>,
  ): boolean {
    if (lastSeenMs < reachedMs! - STALE_MS) return false;
    const runsIt =
      installed?.kind === "active" && installed.version === version && installed.generation >= generation;
    const heard = this.nowMs - lastSeenMs <= STALE_MS;
    return !runsIt || !heard || installedMs === null || this.nowMs - installedMs < this.settleMs;
  }

  invariants(): void {
    for (const node of this.nodes) {
      if (node.version !== NEW) continue;
      if (node.planned === null) continue;
      if (this.state === "running" && node.planned.step > this.opened)
        this.broken.push(`${node.id} of step ${node.planned.step} has it at step ${this.opened}`);
    }
    if (this.broken.length > 0) throw new Error(this.broken.join("; "));
  }
}

const planned = (bucket: number, step: number) => ({
  bucket,
  step,
  reachedMs: null as number | null,
  installedMs: null as number | null,
  lostAtStart: 0,
});
const active = (version: RuleVersion, generation: number): Installed =>
  ({ kind: "active", ruleSet: "x", version, generation }) as Installed;
const refused = (version: RuleVersion, generation: number): Installed =>
  ({
    kind: "kept-last-good",
    ruleSet: "x",
    version: OLD,
    refused: version,
    generation,
    because: { code: "verifier-refused", detail: "no" },
  }) as Installed;

type Event = { kind: string; i: number };
const events = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom("speak-all") },
      { weight: 6, arbitrary: fc.constantFrom("minute") },
      {
        weight: 10,
        arbitrary: fc.constantFrom(
          "speak",
          "join",
          "hours",
          "refuse",
          "mend",
          "lose",
          "leave",
          "return",
          "move",
          "pause",
          "resume",
          "approve",
          "promote",
          "stop",
          "release",
          "freeze",
          "thaw",
          "nudge",
        ),
      },
      { weight: 1, arbitrary: fc.constantFrom("abort", "roll-back") },
    ),
    i: fc.nat(39),
  }),
  { maxLength: 60 },
);
const caps = fc.constantFrom<DomainCap[]>(
  [],
  [{ label: "zone", nodes: 1 }],
  [{ label: "zone", percent: 40 }],
  [
    { label: "zone", nodes: 2 },
    { label: "rack", percent: 50 },
  ],
);
const worlds = fc.record({
  size: fc.integer({ min: 1, max: 12 }),
  percents: fc
    .array(fc.integer({ min: 1, max: 99 }), { maxLength: 3 })
    .map(some => [...some.sort((a, b) => a - b), 100]),
  approvals: fc.array(fc.boolean(), { maxLength: 4 }),
  caps,
  settleMs: fc.constantFrom(0, 30_000),
  salt: fc.string(),
  events,
});

function happen(world: SimulatedWorld, { kind, i }: Event): void {
  const node = world.nodes[i % world.nodes.length]!;
  switch (kind) {
    case "speak":
      world.speak(i);
      break;
    case "speak-all":
      world.speakAll();
      break;
    case "minute":
      world.nowMs += 60_000;
      break;
    case "hours":
      world.nowMs += 7_200_000;
      break;
    case "join":
      world.join();
      break;
    case "refuse":
      node.refuses = true;
      break;
    case "mend":
      node.refuses = false;
      if (node.installed?.kind === "kept-last-good") node.installed = null;
      break;
    case "lose":
      node.lost += 3;
      break;
    case "leave":
      node.labels = { ...node.labels, fleet: "y" };
      break;
    case "return":
      node.labels = { ...node.labels, fleet: "x" };
      break;
    case "move":
      node.labels = { ...node.labels, zone: "abc"[i % 3]! };
      break;
    case "stop":
      world.stop = { by: "mia", reason: "fire" };
      break;
    case "release":
      world.stop = null;
      break;
    case "freeze":
      world.frozen = true;
      break;
    case "thaw":
      world.frozen = false;
      break;
    case "approve":
    case "promote":
      world.letGoOn(kind);
      break;
    case "pause":
    case "resume":
    case "abort":
    case "roll-back":
      world.ask(kind);
      break;
  }
}

/** Everybody is well, comes back and is heard: then it must end. */
function settle(world: SimulatedWorld): void {
  const undecided = ["running", "paused", "rolling-back"];
  world.ask("resume");
  world.stop = null;
  world.frozen = false;
  for (let i = 0; i < 400 && undecided.includes(world.state); i++) {
    mendAll(world);
    world.speakAll();
    if (world.asks) world.letGoOn("approve");
    world.reconcile();
    world.invariants();
    world.nowMs += 30_000;
  }
  // One that was away when the rollout ended, and refused when it came back, has recovered as well.
  mendAll(world);
  world.speakAll();
}

function mendAll(world: SimulatedWorld): void {
  for (const [i] of world.nodes.entries()) happen(world, { kind: "mend", i });
}

const runs = Number(process.env.PICKET_ROLLOUT_SCHEDULES ?? 3_000);

test(`through any fate: no node has it before its step, caps hold, nothing moves while stopped, aborted stays, and it converges (${runs} schedules)`, () => {
  fc.assert(
    fc.property(worlds, ({ size, percents, approvals, caps, settleMs, salt, events }) => {
      const world = new SimulatedWorld(size, percents, approvals, caps, settleMs, salt);
      world.reconcile();
      for (const event of events) {
        const ended = world.state === "aborted" ? world.nodes.map(({ version }) => version) : null;
        happen(world, event);
        world.reconcile();
        world.invariants();
        if (
          ended &&
          world.state === "aborted" &&
          ended.some((version, i) => world.nodes[i]!.version !== version)
        )
          throw new Error("a node was told something by a rollout that was aborted");
      }
      settle(world);
      // It ended; and where it is complete or rolled back, every node of it runs the right version.
      expect(["complete", "aborted", "rolled-back"]).toContain(world.state);
      const right = world.state === "complete" ? NEW : world.state === "rolled-back" ? OLD : null;
      if (right !== null)
        for (const { id, planned, version, installed } of world.nodes)
          if (planned?.reachedMs != null && (version !== right || installed?.version !== right))
            throw new Error(`${id} runs ${installed?.version}, should run ${version}, and ${right} is right`);
    }),
    { numRuns: runs },
  );
}, 3_600_000);
