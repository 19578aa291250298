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
import { assignments } from "../db/schema.ts";

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
  const changed: NodeAssignment[] = [];
  for (let from = 0; from < input.targets.length; from += ROWS_AT_ONCE) {
    const rows = await tx
      .insert(assignments)
      .values(
        input.targets.slice(from, from + ROWS_AT_ONCE).map(target => ({
          ...target,
          id: uuid(ctx),
          ruleSet: input.ruleSet,
          generation: 1,
          rollout: input.rollout,
          scope: input.scope,
          mode: input.mode,
          assignedAt: now(ctx),
        })),
      )
      .onConflictDoUpdate({
        target: [assignments.node, assignments.ruleSet],
        set: {
          id: sql`excluded.id`,
          generation: sql`${assignments.generation} + 1`,
          version: sql`excluded.version`,
          bundle: sql`excluded.bundle`,
          rollout: sql`excluded.rollout`,
          share: sql`excluded.share`,
          scope: sql`excluded.scope`,
          mode: sql`excluded.mode`,
          beside: sql`excluded.beside`,
          assignedAt: sql`excluded.assigned_at`,
          acknowledgedAt: sql`null`,
        },
        setWhere: sql`(${assignments.version}, ${assignments.bundle}, ${assignments.share}, ${assignments.scope}, ${assignments.mode}, ${assignments.beside})
          is distinct from (excluded.version, excluded.bundle, excluded.share, excluded.scope, excluded.mode, excluded.beside)`,
      })
      .returning();
    changed.push(...rows.map(nodeAssignment));
  }
  return changed;
}

export function nodeAssignment(row: typeof assignments.$inferSelect): NodeAssignment {
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
