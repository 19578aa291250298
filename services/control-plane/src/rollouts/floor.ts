import type { RuleSetName } from "@picket/shared/ids";
import { and, eq, max, ne } from "drizzle-orm";
import type { Tx } from "../db/client.ts";
import { rollouts, ruleVersions } from "../db/schema.ts";

/** The highest floor that any node may have accepted. */
export async function floorOf(tx: Tx, ruleSet: RuleSetName): Promise<number> {
  const [highest] = await tx
    .select({ floor: max(ruleVersions.floor) })
    .from(ruleVersions)
    .innerJoin(rollouts, eq(rollouts.bundle, ruleVersions.bundle))
    .where(and(eq(rollouts.ruleSet, ruleSet), ne(rollouts.state, "scheduled")));
  return highest?.floor ?? 0;
}
