/** What the nodes' reports add up to, and how much of the fleet they speak for. Pure. */
import type { Node } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import { type Guarantee, Guarantee as Guarantees } from "@picket/shared/vocabulary";

export interface Fleet {
  nodes: number;
  /** Whose report a figure rests on. */
  online: number;
  silent: Node[];
  never: number;
  connections: number;
  guarantees: Record<Guarantee, number>;
  /** In connectionsTotal but under no guarantee. */
  untold: number;
  lost: number;
  lostOn: Node[];
  refusing: Node[];
  shapes: number;
}

export function fleetOf(nodes: readonly Node[]): Fleet {
  const guarantees: Record<Guarantee, number> = { prevented: 0, severed: 0, observed: 0, unseen: 0 };
  // A node that is silent may have any connections by now: its last word is not counted as what is true.
  const speaking = nodes.filter(node => node.online);
  for (const node of speaking)
    for (const guarantee of Guarantees.options) guarantees[guarantee] += node.guarantees[guarantee] ?? 0;
  const told = Object.values(guarantees).reduce((a, b) => a + b, 0);
  const connections = speaking.reduce((sum, node) => sum + node.connectionsTotal, 0);
  return {
    nodes: nodes.length,
    online: speaking.length,
    silent: nodes.filter(node => !node.online),
    never: nodes.filter(node => node.lastSeenAt === null).length,
    connections: Math.max(connections, told),
    guarantees,
    untold: Math.max(0, connections - told),
    lost: nodes.reduce((sum, node) => sum + node.eventsLost, 0),
    lostOn: nodes.filter(node => node.eventsLost > 0),
    refusing: nodes.filter(node => node.installed.some(each => each.kind === "kept-last-good")),
    shapes: nodes.reduce((sum, node) => sum + node.shapesLearned, 0),
  };
}

export interface RunningVersion {
  ruleSet: string;
  /** Highest share first; one entry unless a candidate runs beside the stable version. */
  versions: { version: number; share: number }[];
  /** It judges beside them and enforces nothing. */
  twin: number | null;
  refused: Extract<Installed, { kind: "kept-last-good" }> | null;
}

export function runningVersions(installed: readonly Installed[]): RunningVersion[] {
  const byRuleSet = new Map<string, RunningVersion>();
  for (const each of installed) {
    const running = byRuleSet.get(each.ruleSet) ?? {
      ruleSet: each.ruleSet,
      versions: [],
      twin: null,
      refused: null,
    };
    byRuleSet.set(each.ruleSet, running);
    switch (each.kind) {
      case "active":
        if (each.twin) running.twin = each.version;
        if (each.twin?.beside === null) break;
        running.versions.push({ version: each.twin?.beside ?? each.version, share: each.share });
        break;
      case "kept-last-good":
        running.refused = each;
        if (each.version !== null && !running.versions.some(({ version }) => version === each.version))
          running.versions.push({ version: each.version, share: 10_000 });
        break;
    }
  }
  for (const running of byRuleSet.values()) running.versions.sort((a, b) => b.share - a.share);
  return [...byRuleSet.values()];
}
