/** A decision with its evidence, and what the gate says of that evidence now: the same, unless the gate was changed. */
import type { DecisionDetails } from "@picket/shared/api";
import type { RolloutId } from "@picket/shared/ids";
import { and, eq } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { rolloutDecisions } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";
import { type GateInput, gate } from "./core.ts";
import { decisionKind, showDecision } from "./show.ts";

export async function explainDecision({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string; decision: number };
}): Promise<DecisionDetails> {
  authorise(ctx, "rollouts.explain");
  const [row] = await ctx.db
    .select()
    .from(rolloutDecisions)
    .where(and(eq(rolloutDecisions.rollout, input.id as RolloutId), eq(rolloutDecisions.id, input.decision)));
  if (!row) throw notFound(`decision ${input.decision} of rollout ${input.id}`);
  return {
    ...showDecision(row),
    evidence: row.evidence as Record<string, unknown> | null,
    replayed: row.evidence && replay(row.evidence as GateInput, row),
  };
}

function replay(evidence: GateInput, stored: { kind: string; because: string }): DecisionDetails["replayed"] {
  const { decision } = gate(evidence);
  const kind = decisionKind(decision);
  return {
    kind,
    because: decision.because,
    same: kind === stored.kind && decision.because === stored.because,
  };
}
