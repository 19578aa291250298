/** The rule versions that let this control plane's online key share verdicts, each within its own bounds. */
import type { Delegation } from "@picket/shared/bundle-format";
import { publicKeyOf } from "@picket/shared/dsse";
import type { RuleSetName, RuleVersion } from "@picket/shared/ids";
import { desc, isNotNull } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { ruleVersions } from "../db/schema.ts";

export type Delegated = { ruleSet: RuleSetName; version: RuleVersion; delegation: Delegation };

/** Newest first; those of other keys, and those that are over, are none. */
export async function delegations(ctx: Ctx): Promise<Delegated[]> {
  if (!ctx.config.sharingKey) return [];
  const { keyid, publicKey } = publicKeyOf(ctx.config.sharingKey);
  const rows = await ctx.db
    .select({
      ruleSet: ruleVersions.ruleSet,
      version: ruleVersions.version,
      delegation: ruleVersions.delegation,
    })
    .from(ruleVersions)
    .where(isNotNull(ruleVersions.delegation))
    .orderBy(desc(ruleVersions.pushedAt));
  return rows.flatMap(({ delegation, ...of }) =>
    delegation?.keyid === keyid &&
    delegation.publicKey === publicKey &&
    Date.parse(delegation.expiresAt) > now(ctx).getTime()
      ? [{ ...of, delegation }]
      : [],
  );
}
