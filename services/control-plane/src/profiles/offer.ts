/** Takes in what a workload was learned to send on a node, for review: the newest word of each node, and no history. */
import type { ProfileOffer } from "@picket/shared/profile";
import { and, count, eq, ne, or } from "drizzle-orm";
import { type Ctx, now, uuid } from "../context.ts";
import { profileOffers } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";
import { Refusal } from "../refusal.ts";

/** As many as an agent keeps. */
const OFFERS_PER_NODE_MAX = 256;

export async function offerProfile({ ctx, input }: { ctx: Ctx; input: ProfileOffer }): Promise<void> {
  authorise(ctx, "agent.offer-profile");
  const node = theNode(ctx);
  const { workload, databaseUser, database, templates } = input.profile;
  const [others] = await ctx.db
    .select({ count: count() })
    .from(profileOffers)
    .where(
      and(
        eq(profileOffers.node, node),
        or(
          ne(profileOffers.workload, workload),
          ne(profileOffers.databaseUser, databaseUser),
          ne(profileOffers.database, database),
        ),
      ),
    );
  if (others!.count >= OFFERS_PER_NODE_MAX)
    throw new Refusal("invalid", `at most ${OFFERS_PER_NODE_MAX} profiles of one node`);
  const offer = {
    learning: input.learning,
    templates: templates.length,
    profile: input.profile,
    offeredAt: now(ctx),
  };
  await ctx.db
    .insert(profileOffers)
    .values({ id: uuid(ctx), node, workload, databaseUser, database, ...offer })
    .onConflictDoUpdate({
      target: [
        profileOffers.node,
        profileOffers.workload,
        profileOffers.databaseUser,
        profileOffers.database,
      ],
      set: offer,
    });
}
