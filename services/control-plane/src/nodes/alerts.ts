/** What a node's own state raises: the causal keys, and which of two reports raises or resolves what. */
import type { Installed } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import type { Priority } from "@picket/shared/vocabulary";

/** Causes that the control plane itself finds; a node's detections cannot use this prefix (alerts/fold.ts). */
export const OWN_CAUSE = "picket:";

export const refusedCause = (node: NodeId, ruleSet: string) =>
  `${OWN_CAUSE}bundle-refused:${node}:${ruleSet}`;
export const lostCause = (node: NodeId) => `${OWN_CAUSE}node-lost:${node}`;
export const eventsLostCause = (node: NodeId) => `${OWN_CAUSE}events-lost:${node}`;

export const causesOfNode = (node: NodeId, ruleSets: readonly string[]): string[] => [
  lostCause(node),
  eventsLostCause(node),
  ...ruleSets.map(ruleSet => refusedCause(node, ruleSet)),
];

export interface NodeAlert {
  causalKey: string;
  priority: Priority;
  title: string;
  summary: string;
  endsQuietly: boolean;
}

export interface Seen {
  node: NodeId;
  hostname: string;
  before: { installed: readonly Installed[]; eventsLost: number; wasLost: boolean };
  after: { installed: readonly Installed[]; eventsLost: number };
}

/** Compares what a report says with what was known; equal reports raise nothing. */
export function nodeAlerts({ node, hostname, before, after }: Seen): {
  raise: NodeAlert[];
  resolve: string[];
} {
  const raise: NodeAlert[] = [];
  const resolve: string[] = before.wasLost ? [lostCause(node)] : [];
  for (const installed of after.installed) {
    const cause = refusedCause(node, installed.ruleSet);
    const known = before.installed.find(({ ruleSet }) => ruleSet === installed.ruleSet);
    switch (installed.kind) {
      case "kept-last-good":
        if (
          known?.kind === "kept-last-good" &&
          known.refused === installed.refused &&
          known.generation === installed.generation
        )
          break;
        raise.push({
          causalKey: cause,
          priority: "P1",
          title: `${hostname} refused ${installed.ruleSet} version ${installed.refused}`,
          summary: `${installed.because.code}: ${installed.because.detail}. ${
            installed.version === null
              ? "No version enforces there."
              : `Version ${installed.version} goes on.`
          }`,
          endsQuietly: false,
        });
        break;
      case "active":
        if (known?.kind === "kept-last-good") resolve.push(cause);
        break;
    }
  }
  const lost = after.eventsLost - before.eventsLost;
  if (lost > 0)
    raise.push({
      causalKey: eventsLostCause(node),
      priority: "P2",
      title: `${hostname} loses events`,
      summary: `${lost} events were lost since its last report, ${after.eventsLost} in all: figures of this node are incomplete.`,
      endsQuietly: true,
    });
  return { raise, resolve };
}

/** The agent counts from its start: a smaller figure, or a younger agent, began again from zero. */
export function lossSince(
  before: { lostByAgent: number; uptimeSeconds: number | null },
  report: { lost: number; uptimeSeconds: number },
): number {
  const restarted =
    report.lost < before.lostByAgent ||
    (before.uptimeSeconds !== null && report.uptimeSeconds < before.uptimeSeconds);
  return restarted ? report.lost : report.lost - before.lostByAgent;
}

export const nodeLostAlert = (node: NodeId, hostname: string, silentSince: Date): NodeAlert => ({
  causalKey: lostCause(node),
  priority: "P2",
  title: `${hostname} is lost`,
  summary: `No word from it since ${silentSince.toISOString()}. What it enforces goes on without it; nothing is seen of it.`,
  endsQuietly: false,
});
