/**
 * What a node counted since it was enrolled. An agent counts from its start and a rule version from when its slot
 * was loaded; here the pieces are summed, so that a figure only grows and the difference of two is what happened
 * between them. Two earlier states are kept (marks): what was usual on this node before a rollout reached it.
 */
import type { Report, VersionCounters } from "@picket/shared/contract";
import type { Counted, Marks, SetTotals, Totals, Watch } from "../db/totals.ts";

/** "Before" is then ten to twenty minutes long. */
const MARK_MS = 600_000;
const SETS_MAX = 16;

export function addReport(
  before: { totals: Totals | null; counters: readonly VersionCounters[] },
  report: Pick<Report, "events" | "agent" | "counters" | "order">,
  atMs: number,
): Totals {
  const { agent, events, order } = report;
  const last = before.totals;
  const restarted = last !== null && agent.uptimeSeconds < last.said.uptimeSeconds;
  const grown = (now: number, earlier: number): number => (restarted || now < earlier ? now : now - earlier);
  const said = {
    uptimeSeconds: agent.uptimeSeconds,
    cpuSeconds: agent.cpuSeconds,
    emitted: events.emitted,
    lost: events.lost,
  };
  const add = (total: "seconds" | "cpuSeconds" | "emitted" | "lost", name: keyof typeof said): number =>
    (last?.[total] ?? 0) + grown(said[name], last?.said[name] ?? 0);
  return {
    atMs,
    seconds: add("seconds", "uptimeSeconds"),
    cpuSeconds: add("cpuSeconds", "cpuSeconds"),
    restarts: (last?.restarts ?? 0) + (restarted ? 1 : 0),
    emitted: add("emitted", "emitted"),
    lost: add("lost", "lost"),
    residentBytes: agent.residentBytes,
    sets: addCounters(last?.sets ?? {}, restarted ? [] : before.counters, report.counters),
    said,
    ...(order && {
      order: {
        ...order,
        epochBefore:
          last?.order && last.order.epoch !== order.epoch
            ? last.order.epoch
            : (last?.order?.epochBefore ?? null),
      },
    }),
  };
}

/** A node's token lives for a minute and some skew: what was under way for longer is not let in. */
const UNDER_WAY_MS = 120_000;

/**
 * Whether the node said something newer before: reports overtake one another, and one that was given up may still
 * come. Believed for a while only: an agent that goes on from a snapshot of its memory counts from there.
 */
export function isLate(last: Totals | null, order: Report["order"], atMs: number): boolean {
  const known = last?.order;
  if (!known || !order || atMs - last.atMs > UNDER_WAY_MS) return false;
  return order.epoch === known.epoch ? order.sequence <= known.sequence : order.epoch === known.epochBefore;
}

function addCounters(
  sets: Counted["sets"],
  said: readonly VersionCounters[],
  counters: readonly VersionCounters[],
): Counted["sets"] {
  const next = structuredClone(sets);
  for (const now of counters) {
    const known = said.find(({ ruleSet, version }) => ruleSet === now.ruleSet && version === now.version);
    // The same version loaded anew counts from zero: every figure of it began again.
    const earlier = known && known.statements <= now.statements ? known : null;
    if (!(now.ruleSet in next) && Object.keys(next).length >= SETS_MAX) continue;
    const set: SetTotals = next[now.ruleSet] ?? {
      statements: 0,
      blocked: 0,
      wouldBlock: 0,
      neverKnown: 0,
      responses: null,
    };
    next[now.ruleSet] = set;
    set.statements += now.statements - (earlier?.statements ?? 0);
    set.blocked += Math.max(0, now.blocked + now.severed - (earlier ? earlier.blocked + earlier.severed : 0));
    set.wouldBlock += Math.max(0, now.wouldBlock - (earlier?.wouldBlock ?? 0));
    set.neverKnown += Math.max(0, now.neverKnown - (earlier?.neverKnown ?? 0));
    if (!now.responses) continue;
    set.responses ??= { ok: 0, errors: 0, latencyLog2Us: [] };
    const from = earlier?.responses;
    set.responses.ok += Math.max(0, now.responses.ok - (from?.ok ?? 0));
    set.responses.errors += Math.max(0, now.responses.errors - (from?.errors ?? 0));
    now.responses.latencyLog2Us.forEach((count, i) => {
      const latency = set.responses!.latencyLog2Us;
      latency[i] = (latency[i] ?? 0) + Math.max(0, count - (from?.latencyLog2Us[i] ?? 0));
    });
  }
  return next;
}

export function moveMarks(marks: Marks | null, totals: Totals): Marks {
  if (marks === null) return { older: null, newer: totals };
  return totals.atMs - marks.newer.atMs < MARK_MS ? marks : { older: marks.newer, newer: totals };
}

/** Where to begin comparing: from now on, against what was usual since the older mark. */
export function watchFrom({ said: _, order: __, ...totals }: Totals, marks: Marks | null): Watch {
  const from = marks?.older ?? marks?.newer ?? null;
  return { start: totals, before: from && from.atMs < totals.atMs ? difference(from, totals) : null };
}

/** What happened between two states; `residentBytes` as of the later. */
export function difference(from: Counted, to: Counted): Counted {
  const sets: Counted["sets"] = {};
  for (const [name, now] of Object.entries(to.sets)) {
    const then = from.sets[name];
    sets[name] = {
      statements: now.statements - (then?.statements ?? 0),
      blocked: now.blocked - (then?.blocked ?? 0),
      wouldBlock: now.wouldBlock - (then?.wouldBlock ?? 0),
      neverKnown: now.neverKnown - (then?.neverKnown ?? 0),
      responses: now.responses && {
        ok: now.responses.ok - (then?.responses?.ok ?? 0),
        errors: now.responses.errors - (then?.responses?.errors ?? 0),
        latencyLog2Us: now.responses.latencyLog2Us.map(
          (count, i) => count - (then?.responses?.latencyLog2Us[i] ?? 0),
        ),
      },
    };
  }
  return {
    atMs: to.atMs,
    seconds: to.seconds - from.seconds,
    cpuSeconds: to.cpuSeconds - from.cpuSeconds,
    restarts: to.restarts - from.restarts,
    emitted: to.emitted - from.emitted,
    lost: to.lost - from.lost,
    residentBytes: to.residentBytes,
    sets,
  };
}
