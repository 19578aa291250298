/** What nodes run outside of an active rollout: the version of the last complete one that selects them. */
import type { BundleDigest, NodeId, RuleSetName, RuleVersion } from "@picket/shared/ids";
import type { Labels } from "@picket/shared/vocabulary";
import { and, eq, inArray, isNotNull } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { rolloutNodes, rollouts } from "../db/schema.ts";
import { assign, type NodeAssignment } from "./assign.ts";
import { stableFor } from "./cohort.ts";
import { ACTIVE } from "./nudge.ts";

export interface Stable {
  ruleSet: RuleSetName;
  version: RuleVersion;
  bundle: BundleDigest;
  selector: Labels;
  sequence: number;
}

/** Of one rule set, or of all. */
export async function completeRollouts(db: Tx, ruleSet?: RuleSetName): Promise<Stable[]> {
  return db
    .select({
      ruleSet: rollouts.ruleSet,
      version: rollouts.version,
      bundle: rollouts.bundle,
      selector: rollouts.selector,
      sequence: rollouts.sequence,
    })
    .from(rollouts)
    .where(
      and(
        eq(rollouts.state, "complete"),
        // A twin enforced nothing: it made nothing stable.
        eq(rollouts.mode, "enforce"),
        ruleSet === undefined ? undefined : eq(rollouts.ruleSet, ruleSet),
      ),
    );
}

export async function assignStable(
  ctx: Ctx,
  tx: Tx,
  nodes: readonly { id: NodeId; labels: Labels }[],
): Promise<NodeAssignment[]> {
  const all = await completeRollouts(tx);
  const busy = await reachedByActive(
    tx,
    nodes.map(({ id }) => id),
  );
  const assigned: NodeAssignment[] = [];
  for (const ruleSet of new Set(all.map(row => row.ruleSet))) {
    const complete = all.filter(row => row.ruleSet === ruleSet);
    const targets = nodes.flatMap(({ id, labels }) => {
      if (busy.has(`${ruleSet} ${id}`)) return [];
      const stable = stableFor(labels, complete);
      return stable ? [{ node: id, version: stable.version, bundle: stable.bundle, share: 10_000 }] : [];
    });
    assigned.push(
      ...(await assign(ctx, tx, { ruleSet, rollout: null, scope: "all", mode: "enforce", targets })),
    );
  }
  return assigned;
}

/** `<rule set> <node>` of those that an active rollout has reached: it decides what they run. */
async function reachedByActive(tx: Tx, nodes: readonly NodeId[]): Promise<Set<string>> {
  const rows = await tx
    .select({ ruleSet: rollouts.ruleSet, node: rolloutNodes.node })
    .from(rolloutNodes)
    .innerJoin(rollouts, eq(rolloutNodes.rollout, rollouts.id))
    .where(
      and(
        inArray(rolloutNodes.node, [...nodes]),
        isNotNull(rolloutNodes.reachedAt),
        inArray(rollouts.state, [...ACTIVE]),
      ),
    );
  return new Set(rows.map(({ ruleSet, node }) => `${ruleSet} ${node}`));
}
