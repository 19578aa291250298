/**
 * Folds detections, in the order of commit, into what alerts must hear: sightings of one cause that follow one
 * another are one. Pure; fold-detections.ts reads and writes.
 */
import type { NodeId } from "@picket/shared/ids";
import type { Priority } from "@picket/shared/vocabulary";
import { worst } from "./priority.ts";

export interface Sighting {
  sequence: number;
  node: NodeId;
  atMs: number;
  /** Null: the cause is gone, as this node sees it. */
  priority: Priority | null;
  causalKey: string;
  /** How often, in this one event. */
  count: number;
}

export type Fold =
  | {
      kind: "raise";
      causalKey: string;
      priority: Priority;
      nodes: NodeId[];
      count: number;
      atMs: number;
      /** The most urgent sighting, the first of equals: its words become the alert's. */
      spokesman: number;
    }
  | { kind: "gone"; causalKey: string };

/** The steps of different causes are independent; those of one cause are in order. */
export function foldSightings(sightings: readonly Sighting[]): Fold[] {
  const folds: Fold[] = [];
  const open = new Map<string, Extract<Fold, { kind: "raise" }>>();
  for (const { causalKey, priority, node, atMs, count, sequence } of sightings) {
    if (priority === null) {
      open.delete(causalKey);
      folds.push({ kind: "gone", causalKey });
      continue;
    }
    const fold = open.get(causalKey);
    if (!fold) {
      const begun = {
        kind: "raise" as const,
        causalKey,
        priority,
        nodes: [node],
        count,
        atMs,
        spokesman: sequence,
      };
      open.set(causalKey, begun);
      folds.push(begun);
      continue;
    }
    if (priority < fold.priority) fold.spokesman = sequence;
    fold.priority = worst(priority, fold.priority);
    fold.count += count;
    if (atMs > fold.atMs) fold.atMs = atMs;
    if (!fold.nodes.includes(node)) fold.nodes.push(node);
  }
  return folds;
}
