/** Nodes as people see them. */
import type { Node, NodeDetails } from "@picket/shared/api";
import { and, asc, eq, gt, isNull } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { inScope } from "../identity/scope.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";
import { isSilent } from "./pace.ts";

type Row = typeof nodes.$inferSelect;

function summary(ctx: Ctx, row: Row): Node {
  return {
    id: row.id,
    hostname: row.hostname,
    labels: row.labels,
    kernel: row.kernel,
    agentVersion: row.agentVersion,
    enrolledAt: row.enrolledAt.toISOString(),
    trust: row.trust,
    keySince: (row.keySince ?? row.enrolledAt).toISOString(),
    lastSeenAt: row.lastSeenAt?.toISOString() ?? null,
    ...(row.quarantinedAt && { quarantinedAt: row.quarantinedAt.toISOString() }),
    online: !isSilent(ctx, row),
    installed: row.installed,
    guarantees: row.guarantees,
    connectionsTotal: row.connectionsTotal,
    eventsLost: row.eventsLost,
    shapesLearned: row.shapesLearned,
  };
}

/** In the order of enrolment. */
export async function listNodes({ ctx, input }: { ctx: Ctx; input: PageInput }): Promise<Page<Node>> {
  authorise(ctx, "nodes.list");
  const rows = await ctx.db
    .select()
    .from(nodes)
    .where(
      and(
        isNull(nodes.retiredAt),
        inScope(ctx, nodes.labels),
        input.cursor === undefined ? undefined : gt(nodes.sequence, input.cursor),
      ),
    )
    .orderBy(asc(nodes.sequence))
    .limit(input.limit + 1);
  return pageOf(
    rows,
    input,
    row => row.sequence,
    row => summary(ctx, row),
  );
}

export async function showNode({ ctx, input }: { ctx: Ctx; input: { id: string } }): Promise<NodeDetails> {
  authorise(ctx, "nodes.show");
  const [row] = await ctx.db
    .select()
    .from(nodes)
    .where(and(eq(nodes.id, input.id as Row["id"]), isNull(nodes.retiredAt)));
  if (!row) throw notFound(`node ${input.id}`);
  return {
    ...summary(ctx, row),
    connections: row.connections,
    counters: row.counters,
    losses: row.losses,
    overrides: row.overrides,
    immunity: row.immunity,
    signedProfiles: row.signedProfiles,
    missing: row.missing,
    residentBytes: row.residentBytes,
  };
}
