/** The node's report: one figure for the control plane, the metrics and the status alike. */
import type { ConnectionState, Report } from "@picket/shared/contract";
import type { Guarantee, Labels } from "@picket/shared/vocabulary";
import type { EventDecoder } from "../capture/decode.ts";
import type { Kernel } from "../capture/kernel.ts";
import { AGENT_VERSION, type Config } from "../config.ts";
import { discoverUnseen } from "../connections/discovery.ts";
import type { Sight } from "../connections/sight.ts";
import type { Holding } from "../hold/holding.ts";
import type { Immunity } from "../immunity/immunity.ts";
import type { Judging } from "../rules/assemble.ts";
import type { Spool } from "../spool/spool.ts";

const CONNECTIONS_MAX = 500;
/** Reading all of /proc is for the listing only: not more often than this. */
const DISCOVER_MS = 60_000;

export type Reporter = {
  report(): Promise<Report>;
  /** Without looking for what the kernel programs do not see. */
  quick(): Report;
  allConnections(): Promise<ConnectionState[]>;
};

const heldIn = (held: Report["held"] | null): Pick<Report, "held"> => (held ? { held } : {});

const comparedIn = (compared: Report["compared"]): Pick<Report, "compared"> => (compared ? { compared } : {});

export function createReporter(input: {
  config: Config;
  kernel: Kernel;
  decoder: EventDecoder;
  judging: Judging;
  sight: Sight;
  spool: Spool;
  holding: Holding;
  immunity: Immunity | null;
  attachedCgroup: string;
  labels: () => Labels;
  missing: string[];
}): Reporter {
  const { config, kernel, spool } = input;
  const { versions, installer, learned, overrides } = input.judging;
  const { connections, workloads, processes, profiles } = input.sight;
  const startedMs = Date.now();
  let unseen: { states: ConnectionState[]; atMs: number } = { states: [], atMs: 0 };

  function seenConnections() {
    return connections.states({
      modeOf: id => workloads.modeOf(id),
      nameOf: id => workloads.get(id)?.name,
      cgroupOf: process => processes.describe(process, undefined).cgroup,
      judged: versions.stable !== null,
      max: CONNECTIONS_MAX,
    });
  }

  function discover(seen: ReadonlySet<string>, nowMs: number): ConnectionState[] {
    unseen = {
      states: discoverUnseen({ seen, attachedCgroup: input.attachedCgroup, max: CONNECTIONS_MAX }),
      atMs: nowMs,
    };
    return unseen.states;
  }

  function build(nowMs: number, mayDiscover: boolean): Report {
    const seen = seenConnections();
    const others =
      mayDiscover && nowMs - unseen.atMs >= DISCOVER_MS ? discover(seen.keys, nowMs) : unseen.states;
    const guarantees: Partial<Record<Guarantee, number>> = { ...seen.guarantees };
    for (const { guarantee } of others) guarantees[guarantee] = (guarantees[guarantee] ?? 0) + 1;
    const { user, system } = process.cpuUsage();
    const losses = kernel.losses();
    for (const [name, count] of [
      ["connections_not_tabled", connections.overflowed],
      ["events_unreadable", input.decoder.unreadable],
      ["detections_dropped", spool.dropped],
      ["profiles_too_large", profiles.tooLarge],
    ] as const)
      if (count > 0) losses[name] = count;
    return {
      at: new Date(nowMs).toISOString(),
      agentVersion: AGENT_VERSION,
      kernel: config.kernel,
      labels: input.labels(),
      installed: installer.installed().slice(0, 16),
      counters: versions.counters().slice(0, 32),
      events: { ...kernel.events(), spooled: spool.pending, uploaded: spool.uploaded },
      losses,
      shapesLearned: learned.size,
      connections: [...seen.states, ...others].slice(0, CONNECTIONS_MAX),
      connectionsTotal: seen.total + others.length,
      guarantees,
      overrides: overrides
        .list()
        .map(({ shape, action, reason, expiresAt }) => ({ shape, action, reason, expiresAt })),
      agent: {
        residentBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
        uptimeSeconds: (nowMs - startedMs) / 1_000,
      },
      ...heldIn(input.holding.counts()),
      ...comparedIn(input.sight.comparison.counts()),
      ...(input.immunity && { immunity: input.immunity.report() }),
      signedProfiles: profiles.adopted().slice(0, 256),
      missing: input.missing.slice(0, 32),
    };
  }

  return {
    report: async () => build(Date.now(), true),
    quick: () => build(Date.now(), false),
    async allConnections() {
      const seen = seenConnections();
      return [...seen.states, ...discover(seen.keys, Date.now())];
    },
  };
}
