/** Failure domains: of the nodes that share a label's value, only so many may be changing at once. */
import type { DomainCap } from "@picket/shared/api";
import type { NodeId } from "@picket/shared/ids";

/** A node that a step takes and that was not told yet. */
export interface WaitingNode<Node extends string = NodeId> {
  node: Node;
  hostname: string;
  labels: Record<string, string>;
  /** Silent nodes are told when they come back: together with others, they would break a cap then. */
  present: boolean;
}

/** Nodes without the label are one domain: nobody said that they do not fail together. */
export const domainOf = (labels: Record<string, string>, label: string): string => labels[label] ?? "";

/** Nodes by domain: `<label>=<value>`. */
export type DomainCounts = ReadonlyMap<string, number>;

export function countDomains(
  caps: readonly DomainCap[],
  nodes: Iterable<{ labels: Record<string, string> }>,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { labels } of nodes)
    for (const { label } of caps) {
      const domain = `${label}=${domainOf(labels, label)}`;
      counts.set(domain, (counts.get(domain) ?? 0) + 1);
    }
  return counts;
}

/** At least one: a cap slows a rollout, it does not end it. */
export const roomOf = (cap: DomainCap, size: number): number =>
  "nodes" in cap ? cap.nodes : Math.max(1, Math.floor((cap.percent / 100) * size));

/** Who may be told now, in the given order, so that no domain has more changing nodes than its cap allows. */
export function wave<Node extends string>(
  waiting: readonly WaitingNode<Node>[],
  {
    caps,
    sizes,
    changing,
  }: {
    caps: readonly DomainCap[];
    /** All nodes of the rollout. */
    sizes: DomainCounts;
    changing: DomainCounts;
  },
): Node[] {
  if (caps.length === 0) return waiting.map(({ node }) => node);
  const busy = new Map(changing);
  const told: Node[] = [];
  for (const { node, labels, present } of waiting) {
    if (!present) continue;
    const domains = caps.map(cap => ({ cap, domain: `${cap.label}=${domainOf(labels, cap.label)}` }));
    if (domains.some(({ cap, domain }) => (busy.get(domain) ?? 0) >= roomOf(cap, sizes.get(domain) ?? 0)))
      continue;
    for (const { domain } of domains) busy.set(domain, (busy.get(domain) ?? 0) + 1);
    told.push(node);
  }
  return told;
}
