/** What changed after a sequence, oldest first: of each shared verdict what was signed last. Expired ones are left out. */
import type { SharedVerdictFeed } from "@picket/shared/immunity";
import { and, asc, gt, isNotNull, ne } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { sharedVerdicts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { lastSequence } from "./issue.ts";

const PAGE = 200;

export async function verdictFeed({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { after: number };
}): Promise<SharedVerdictFeed> {
  authorise(ctx, "agent.verdicts");
  // Read first: what is issued meanwhile has a higher number, and is read next time.
  const last = await lastSequence(ctx);
  const rows = await ctx.db
    .select({ sequence: sharedVerdicts.sequence, envelope: sharedVerdicts.envelope })
    .from(sharedVerdicts)
    .where(
      and(
        gt(sharedVerdicts.sequence, input.after),
        isNotNull(sharedVerdicts.envelope),
        ne(sharedVerdicts.state, "expired"),
      ),
    )
    .orderBy(asc(sharedVerdicts.sequence))
    .limit(PAGE + 1);
  const shown = rows.slice(0, PAGE);
  const more = rows.length > PAGE;
  return {
    items: shown.map(({ envelope }) => envelope!),
    last: more ? shown.at(-1)!.sequence! : Math.max(last, shown.at(-1)?.sequence ?? 0),
    more,
  };
}
