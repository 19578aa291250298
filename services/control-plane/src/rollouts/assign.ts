/**
 * Writes what nodes should run, one statement for many nodes. A generation counts up only when something changes,
 * so that carrying out the same decision twice tells no node anything new.
 */
import type { RolloutMode } from "@picket/shared/api";
import type { Assignment } from "@picket/shared/contract";
import type {
  AssignmentId,
  BundleDigest,
  NodeId,
  RolloutId,
  RuleSetName,
  RuleVersion,
} from "@picket/shared/ids";
import { sql } from "drizzle-orm";
import { type Ctx, now, uuid } from "../context.ts";
import type { Tx } from "../db/client.ts";
import type { assignments } from "../db/schema.ts";

export interface Target {
  node: NodeId;
  version: RuleVersion;
  bundle: BundleDigest;
  share: number;
  /** Of a twin: what is to enforce beside it. */
  beside?: Assignment["beside"];
}

export interface NodeAssignment {
  node: NodeId;
  assignment: Assignment;
}

const ROWS_AT_ONCE = 5_000;

export async function assign(
  ctx: Ctx,
  tx: Tx,
  input: {
    ruleSet: RuleSetName;
    rollout: RolloutId | null;
    scope: "all" | "new-processes";
    mode: RolloutMode;
    targets: readonly Target[];
  },
): Promise<NodeAssignment[]> {
  const { ruleSet, rollout, scope, mode } = input;
  const at = now(ctx).toISOString();
  const changed: NodeAssignment[] = [];
  for (let from = 0; from < input.targets.length; from += ROWS_AT_ONCE) {
    const targets = new Map(
      input.targets
        .slice(from, from + ROWS_AT_ONCE)
        .map(target => [target.node, { ...target, id: uuid(ctx) }]),
    );
    // As one document: a query builder that puts ten values a row together shows in the profile of a wave.
    const asked = [...targets.values()].map(({ id, node, version, bundle, share, beside }) => ({
      id,
      node,
      version,
      bundle,
      share,
      beside: beside ?? null,
    }));
    const { rows } = await tx.execute<{ node: NodeId; generation: number }>(sql`
      insert into assignments
        (id, node, rule_set, generation, version, bundle, rollout, share, scope, mode, beside, assigned_at)
      select id, node, ${ruleSet}, 1, version, bundle, ${rollout}::uuid, share, ${scope}, ${mode}, beside,
        ${at}::timestamptz
      from jsonb_populate_recordset(null::assignments, ${JSON.stringify(asked)}::jsonb)
      on conflict (node, rule_set) do update set
        id = excluded.id, generation = assignments.generation + 1, version = excluded.version,
        bundle = excluded.bundle, rollout = excluded.rollout, share = excluded.share, scope = excluded.scope,
        mode = excluded.mode, beside = excluded.beside, assigned_at = excluded.assigned_at, acknowledged_at = null
      where (assignments.version, assignments.bundle, assignments.share, assignments.scope, assignments.mode,
          assignments.beside)
        is distinct from (excluded.version, excluded.bundle, excluded.share, excluded.scope, excluded.mode,
          excluded.beside)
      returning node, generation`);
    for (const { node, generation } of rows) {
      const target = targets.get(node)!;
      changed.push(
        nodeAssignment({
          ...target,
          generation,
          ruleSet,
          rollout,
          scope,
          mode,
          beside: target.beside ?? null,
        }),
      );
    }
  }
  return changed;
}

type Row = Omit<typeof assignments.$inferSelect, "assignedAt" | "acknowledgedAt">;

export function nodeAssignment(row: Row): NodeAssignment {
  return {
    node: row.node,
    assignment: {
      id: row.id as AssignmentId,
      generation: row.generation,
      ruleSet: row.ruleSet,
      version: row.version,
      bundle: row.bundle,
      rollout: row.rollout,
      share: row.share,
      scope: row.scope,
      ...(row.mode === "twin" && { mode: "twin" as const, beside: row.beside ?? null }),
    },
  };
}
