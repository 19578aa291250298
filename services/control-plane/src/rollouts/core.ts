/**
 * Rollouts, decided purely: time, what the nodes said and what people asked go in; whom to tell and a decision come
 * out. reconcile.ts reads the rows, asks here, and carries out what is decided.
 */
import type { DomainCap, GateSettings, RolloutMode, RolloutState, SignalFinding } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { NodeId, RuleSetName, RuleVersion } from "@picket/shared/ids";
import { countDomains, type DomainCounts, type WaitingNode, wave } from "./domains.ts";
import { findings, type Samples } from "./gate/signals.ts";
import { isOfTwin, type TwinSeen, twinDiffers, twinSignals } from "./gate/twin.ts";

// ---- the state machine

export type RolloutVerb =
  | "begin"
  | "pause"
  | "resume"
  | "abort"
  | "roll-back"
  | "complete"
  | "finish-roll-back";

const machine: Record<RolloutState, Partial<Record<RolloutVerb, RolloutState>>> = {
  // Nothing has reached a node yet: it ends without a roll back.
  scheduled: { begin: "running", abort: "aborted" },
  running: { pause: "paused", abort: "aborted", "roll-back": "rolling-back", complete: "complete" },
  paused: { resume: "running", abort: "aborted", "roll-back": "rolling-back" },
  // What is complete or aborted left its version on nodes: it can still be taken back.
  complete: { "roll-back": "rolling-back" },
  aborted: { "roll-back": "rolling-back" },
  // A node that never comes back must not block the rule set for ever.
  "rolling-back": { abort: "aborted", "finish-roll-back": "rolled-back" },
  "rolled-back": {},
};

export const after = (state: RolloutState, verb: RolloutVerb): RolloutState | null =>
  machine[state][verb] ?? null;

/** Of these a rule set has one at most. */
export const isActive = (state: RolloutState): boolean =>
  state === "running" || state === "paused" || state === "rolling-back";

// ---- what a node shows

/** A node that a step has reached. */
export interface ReachedNode {
  hostname: string;
  labels: Record<string, string>;
  /** What it should run now: by the step, or by the roll back. */
  target: { version: RuleVersion; generation: number };
  /** What it says of the rule set; null: nothing yet. */
  installed: Installed | null;
  /** Since it was first seen with what this step asks. */
  installedForMs: number | null;
  /** No report within the time that it was given for the next one, or none ever. */
  silent: boolean;
  /** It was silent when it was told, and has not come back: nothing was done to it. */
  absent: boolean;
  /** Lost since the step began. */
  eventsLost: number;
}

export type NodeProgress = { kind: "installed" } | { kind: "pending" } | { kind: "refused"; detail: string };

export function progressOf({ target, installed }: Pick<ReachedNode, "target" | "installed">): NodeProgress {
  // An answer to an earlier assignment says nothing about this one.
  if (installed === null || installed.generation < target.generation) return { kind: "pending" };
  switch (installed.kind) {
    case "active":
      return installed.version === target.version ? { kind: "installed" } : { kind: "pending" };
    case "kept-last-good":
      return installed.refused === target.version
        ? { kind: "refused", detail: refusalOf(installed) }
        : { kind: "pending" };
  }
}

export const refusalOf = ({ because }: Extract<Installed, { kind: "kept-last-good" }>): string =>
  `${because.code}: ${because.detail}`;

/** Some of the reached nodes: named are a few. */
interface Group {
  count: number;
  named: string[];
}

/** All reached nodes, each in one group but `lossy`: as much as the gate needs, however large the fleet. */
export interface Standing {
  total: number;
  absent: Group;
  refused: Group & { detail: string };
  offline: Group;
  pending: Group;
  /** Installed, and not heard of for too long. */
  stale: Group;
  installed: number;
  lossy: Group & { most: number };
}

const NAMED_MAX = 3;

export function standingOf(
  nodes: readonly ReachedNode[],
  { lostEventsMax }: { lostEventsMax: number },
): Standing {
  const group = (): Group => ({ count: 0, named: [] });
  const standing: Standing = {
    total: nodes.length,
    absent: group(),
    refused: { ...group(), detail: "" },
    offline: group(),
    pending: group(),
    stale: group(),
    installed: 0,
    lossy: { ...group(), most: 0 },
  };
  const add = (to: Group, { hostname }: ReachedNode) => {
    to.count += 1;
    if (to.named.length < NAMED_MAX) to.named.push(hostname);
  };
  const refusals = new Refusals();
  for (const node of nodes) {
    if (node.absent) {
      add(standing.absent, node);
      continue;
    }
    const progress = progressOf(node);
    switch (progress.kind) {
      case "refused":
        refusals.add(node.hostname, progress.detail);
        add(standing.refused, node);
        break;
      case "pending":
        add(node.silent ? standing.offline : standing.pending, node);
        break;
      case "installed":
        standing.installed += 1;
        if (node.silent) add(standing.stale, node);
        if (node.eventsLost <= lostEventsMax) break;
        add(standing.lossy, node);
        standing.lossy.most = Math.max(standing.lossy.most, node.eventsLost);
    }
  }
  standing.refused.detail = refusals.text();
  return standing;
}

/** Of the first refusal everything, of a few that differ in their first line that line and who said it. */
class Refusals {
  #first = "";
  readonly #others = new Map<string, string>();

  add(hostname: string, detail: string): void {
    this.#first ||= detail;
    const line = firstLine(detail);
    if (line !== firstLine(this.#first) && this.#others.size < NAMED_MAX && !this.#others.has(line))
      this.#others.set(line, hostname);
  }

  text(): string {
    const line = firstLine(this.#first);
    const others = [...this.#others].map(([other, hostname]) => `; ${hostname} otherwise: ${other}`);
    return [line, ...others, this.#first.slice(line.length)].join("");
  }
}

const firstLine = (text: string): string => text.split("\n", 1)[0]!;

// ---- one pass

/** What outlives a rollout's own row: asked for by people, for the whole fleet. */
export interface Holds {
  stop: { by: string; reason: string } | null;
  frozen: { untilMs: number; reason: string } | null;
}

export interface GateInput extends Holds {
  state: "running" | "rolling-back";
  ruleSet: RuleSetName;
  mode: RolloutMode;
  step: number;
  steps: readonly { percent: number; soakMs: number; requireApproval: boolean }[];
  stepAgeMs: number;
  /** The highest step that a person has approved. */
  approvedStep: number;
  lostEventsMax: number;
  settings: GateSettings;
  askAfterMs: number;
  /** Nodes that the step takes and that were not told yet: their domains have no room, or they are away. */
  waiting: { present: number; absent: number };
  standing: Standing;
  samples: Samples;
  /** What a twin found; absent or null: it is none. */
  twin?: TwinSeen | null;
}

export interface World extends Omit<GateInput, "waiting" | "standing"> {
  nodes: readonly ReachedNode[];
  domains: readonly DomainCap[];
  settleMs: number;
  /** All nodes of the rollout, by domain. */
  domainSizes: DomainCounts;
  waiting: readonly WaitingNode[];
}

/** Whom to tell now, and what the gate says: nobody is told in a pass that decides against it. */
export function pass(world: World): { tell: NodeId[]; input: GateInput; decided: Decided } {
  const { waiting, domains, settleMs, domainSizes, nodes, ...rest } = world;
  const changing = nodes.filter(node => isChanging(node, settleMs));
  const free =
    world.state === "running" && world.stop === null && world.frozen === null
      ? wave(waiting, { caps: domains, sizes: domainSizes, changing: countDomains(domains, changing) })
      : [];
  const telling = new Set(free);
  const left = waiting.filter(({ node }) => !telling.has(node));
  const input: GateInput = {
    ...rest,
    standing: standingOf([...nodes, ...waiting.filter(({ node }) => telling.has(node)).map(asTold)], world),
    waiting: {
      present: left.filter(({ present }) => present).length,
      absent: left.filter(({ present }) => !present).length,
    },
  };
  const decided = gate(input);
  return { tell: decided.decision.kind === "wait" ? free : [], input, decided };
}

const asTold = ({ hostname, labels, present }: WaitingNode): ReachedNode => ({
  hostname,
  labels,
  target: { version: 0 as RuleVersion, generation: 0 },
  installed: null,
  installedForMs: null,
  silent: !present,
  absent: !present,
  eventsLost: 0,
});

/** Told and not yet proven: it counts against the caps of its domains. */
function isChanging(node: ReachedNode, settleMs: number): boolean {
  if (node.absent) return false;
  if (progressOf(node).kind !== "installed" || node.silent) return true;
  return node.installedForMs === null || node.installedForMs < settleMs;
}

// ---- the gate

export type Decision =
  | { kind: "advance"; to: number; because: string }
  | { kind: "complete"; because: string }
  | { kind: "roll-back"; because: string }
  | { kind: "rolled-back"; because: string }
  /** `asks`: a person may let it go on. `early`: for something else than what the signals show. */
  | { kind: "wait"; because: string; asks?: string; early?: true };

export interface Decided {
  decision: Decision;
  /** Null: nothing was compared. */
  signals: SignalFinding[] | null;
}

/** Half of a step's nodes may be away; what the others show is still of the step. */
const ABSENT_SHARE_MAX = 0.5;

/**
 * Only evidence advances: what cannot be read waits, and says for what. Harm is looked for first and at every pass,
 * so that it need not wait for the soak.
 */
export function gate(input: GateInput): Decided {
  const signals = compared(input);
  return { decision: decide(input, signals), signals };
}

function compared({ state, settings, samples, ruleSet, steps, twin }: GateInput): SignalFinding[] | null {
  if (state !== "running" || settings.compare === "off") return null;
  const ofTwin = twin ? twinSignals(twin) : [];
  if (samples.canary.length === 0 || samples.control.length === 0) return ofTwin.length > 0 ? ofTwin : null;
  return [...ofTwin, ...findings(ruleSet, samples, { alpha: settings.alpha, stepsTotal: steps.length })];
}

/** A wave is as many of these as passes: they are one decision. */
export const NOT_YET = "not installed yet";

function decide(input: GateInput, signals: readonly SignalFinding[] | null): Decision {
  const { state, step } = input;
  const wait = (because: string, asks?: string): Decision => ({
    kind: "wait",
    because,
    early: true,
    ...(asks !== undefined && { asks }),
  });
  const worse = signals?.filter(({ finding }) => finding === "worse") ?? [];
  if (worse.length > 0)
    return { kind: "roll-back", because: `the canary is worse: ${worse.map(worseText).join("; ")}` };

  const { absent, refused, offline, pending, stale, lossy, installed, total } = input.standing;
  // Every node was retired or left: 0 of 0 would pass each test below.
  const nobody = total + input.waiting.present + input.waiting.absent === 0;
  if (nobody && state === "rolling-back")
    return { kind: "rolled-back", because: "no node is left to roll back" };

  const held = heldBy(input);
  if (state === "running" && held !== null) return wait(held);
  if (nobody && input.approvedStep <= step) {
    const unproven = "no node of this step is left: nothing shows that the version is good";
    return wait(unproven, unproven);
  }
  if (refused.count > 0) return wait(`${some(refused)} refused: ${refused.detail}`);
  if (offline.count > 0) return wait(`${some(offline)} not installed and not reporting`);
  if (pending.count > 0) return wait(`${some(pending)} ${NOT_YET}`);
  if (state === "rolling-back")
    return {
      kind: "rolled-back",
      because: `${count(installed)} reported the previous version${absent.count > 0 ? `; ${count(absent.count)} will when they are back` : ""}`,
    };
  if (input.waiting.present > 0) return wait("nodes wait until their domains have room");
  const away = absent.count + input.waiting.absent;
  if (installed === 0 && !nobody)
    return wait(`${absent.count > 0 ? some(absent) : count(away)} not installed and not reporting`);
  if (away > ABSENT_SHARE_MAX * (installed + away))
    return wait(`${away} of ${count(installed + away)} are away: too few are left to judge by`);
  if (stale.count > 0) return wait(`no fresh report from ${some(stale)}`);
  if (lossy.count > 0 && input.approvedStep <= step) {
    const lost = `${some(lossy)} lost ${lossy.most} events since the step began; ${input.lostEventsMax} are allowed`;
    return wait(lost, lost);
  }
  return soaked(input, installed, away, signals, step);
}

/** Every node has installed it and reports. */
function soaked(
  input: GateInput,
  installed: number,
  away: number,
  signals: readonly SignalFinding[] | null,
  step: number,
): Decision {
  const wait = (because: string, asks?: string): Decision => ({
    kind: "wait",
    because,
    ...(asks !== undefined && { asks }),
  });
  const { soakMs } = input.steps[step]!;
  // Who approves the next step, or promotes to it, has looked: the clock and what is not proven do not hold it.
  const next = step + 1;
  const approved = input.approvedStep >= next;
  if (!approved && input.stepAgeMs < soakMs) return wait("soaking");
  const differs = signals && twinDiffers(signals);
  if (differs !== null && !approved) return wait(differs, `${differs}: read them`);
  const unproven = unprovenBy(input, signals);
  if (unproven !== null && !approved)
    return input.stepAgeMs - soakMs < input.askAfterMs
      ? wait(`inconclusive: ${unproven}`)
      : wait(`inconclusive for longer than it may wait: ${unproven}`, `the gate cannot tell: ${unproven}`);
  if (next < input.steps.length && input.steps[next]!.requireApproval && !approved)
    return wait(
      `step ${next + 1} begins when it is approved`,
      `step ${next + 1} takes ${input.steps[next]!.percent} % of the nodes`,
    );
  const because = [
    approved && (unproven !== null || input.stepAgeMs < soakMs) ? "approved before it was proven" : "soaked",
    `${count(installed)} installed`,
    input.standing.lossy.count > 0
      ? `${some(input.standing.lossy)} lost events`
      : `none lost events beyond ${input.lostEventsMax}`,
    ...(away > 0 ? [`${away} away`] : []),
    ...(signals?.length && unproven === null && signals.every(({ finding }) => finding === "fine")
      ? [`no signal of ${signals.length} is worse than without it`]
      : []),
  ].join("; ");
  return next < input.steps.length ? { kind: "advance", to: next, because } : { kind: "complete", because };
}

/** What must still be shown before the step may end; null: nothing, or nothing can be. */
function unprovenBy(input: GateInput, signals: readonly SignalFinding[] | null): string | null {
  if (input.settings.compare !== "required") return null;
  // The last step leaves nobody to compare with: it is judged by what holds for each node alone.
  if (input.step + 1 < input.steps.length && (signals ?? []).every(isOfTwin))
    return "no node to compare with reports";
  const unread = (signals ?? []).filter(({ finding }) => finding === "unread").map(({ title }) => title);
  const open = (signals ?? []).filter(({ finding }) => finding === "open").map(({ title }) => title);
  if (unread.length + open.length === 0) return null;
  return [
    ...(unread.length > 0 ? [`no data on ${unread.join(", ")}`] : []),
    ...(open.length > 0 ? [`not enough to tell on ${open.join(", ")}`] : []),
  ].join("; ");
}

export function heldBy({ stop, frozen }: Holds): string | null {
  if (stop) return `the fleet is stopped by ${stop.by}: ${stop.reason}`;
  if (frozen) return `frozen until ${new Date(frozen.untilMs).toISOString()}: ${frozen.reason}`;
  return null;
}

const worseText = ({ title, canary, control, unit }: SignalFinding): string =>
  `${title} ${figure(canary, unit)}, elsewhere ${figure(control, unit)}`;

function figure(arm: SignalFinding["canary"], unit: SignalFinding["unit"]): string {
  if (arm === null || arm.of === 0) return "unknown";
  const value = arm.hits / arm.of;
  switch (unit) {
    case "share":
      return `${Number((100 * value).toPrecision(3))} %`;
    case "cores":
      return `${Number((100 * value).toPrecision(3))} % of a core`;
    case "bytes":
      return `${Math.round(value / (1 << 20))} MiB`;
    case "nodes":
      return `${arm.hits} of ${arm.of}`;
  }
}

const count = (nodes: number): string => (nodes === 1 ? "1 node" : `${nodes} nodes`);

/** Names a few, counts the rest. */
function some({ count: all, named }: Group): string {
  const rest = all - named.length;
  return rest > 0 ? `${named.join(", ")} and ${rest} more` : named.join(", ");
}

// ---- before it begins

/** Null: it may begin. */
export function notYet(input: {
  startAtMs: number | null;
  nowMs: number;
  holds: Holds;
  /** An active rollout of the rule set, or a scheduled one that came first. */
  ahead: string | null;
  requireApproval: boolean;
  /** What came before in the queue did not complete: a person says whether this still should. */
  predecessorFailed: string | null;
  approvedStep: number;
}): Extract<Decision, { kind: "wait" }> | null {
  const wait = (because: string, asks?: string): Extract<Decision, { kind: "wait" }> => ({
    kind: "wait",
    because,
    ...(asks !== undefined && { asks }),
  });
  const held = heldBy(input.holds);
  if (input.startAtMs !== null && input.nowMs < input.startAtMs)
    return wait(`starts at ${new Date(input.startAtMs).toISOString()}`);
  if (input.ahead !== null) return wait(`waits for rollout ${input.ahead}`);
  if (held !== null) return wait(held);
  if (input.approvedStep >= 0) return null;
  if (input.predecessorFailed !== null)
    return wait(
      `begins when it is approved: rollout ${input.predecessorFailed} before it did not complete`,
      `rollout ${input.predecessorFailed} before it did not complete`,
    );
  if (input.requireApproval) return wait("begins when it is approved", "the first step asks for approval");
  return null;
}
