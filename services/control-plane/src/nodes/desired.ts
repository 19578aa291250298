import type { Desired } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { asc } from "drizzle-orm";
import { batched } from "../batch.ts";
import { newestRoot } from "../bundles/trust.ts";
import type { Ctx, Services } from "../context.ts";
import { among } from "../db/among.ts";
import { assignments } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { nodeAssignment } from "../rollouts/assign.ts";
import { theNode } from "./the-node.ts";

/** Nodes that ask within so long of one another are one look: a fleet reconciles all the time. */
const EVERY_MS = 50;
const BATCH = 500;

/** From PostgreSQL alone: an inbox that was lost only delays. */
export function desired({ db }: Pick<Services, "db">): (ctx: Ctx) => Promise<Desired> {
  const find = batched(
    async (asked: NodeId[]): Promise<Desired[]> => {
      const [rows, trust] = await Promise.all([
        db
          .select()
          .from(assignments)
          .where(among(assignments.node, new Set(asked)))
          .orderBy(asc(assignments.ruleSet)),
        newestRoot(db),
      ]);
      const byNode = new Map<NodeId, Desired["assignments"]>(asked.map(node => [node, []]));
      for (const row of rows) byNode.get(row.node)!.push(nodeAssignment(row).assignment);
      return asked.map(node => ({
        assignments: byNode.get(node)!,
        ...(trust > 0 && { trust }),
      }));
    },
    { most: BATCH, everyMs: EVERY_MS },
  );
  return async ctx => {
    authorise(ctx, "agent.desired");
    return find(theNode(ctx));
  };
}
