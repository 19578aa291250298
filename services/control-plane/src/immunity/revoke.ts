/** Takes a shared verdict back from every node: by a person, or since everybody who claimed it is in quarantine. */
import type { NodeId, SharedVerdictId } from "@picket/shared/ids";
import { inArray, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { sharedVerdicts } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";
import { announceVerdicts, endVerdicts } from "./issue.ts";

export async function revokeVerdict({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string; reason: string };
}): Promise<void> {
  authorise(ctx, "immunity.revoke");
  await ctx.db.transaction(async tx => {
    const ended = await endVerdicts(ctx, tx, [input.id as SharedVerdictId], input.reason);
    await tx.update(sharedVerdicts).set({ refuted: true }).where(inArray(sharedVerdicts.id, ended));
    if (ended.length === 0) throw notFound(`shared verdict ${input.id} that is pending or in force`);
    await record(ctx, tx, {
      verb: "revoke",
      subject: `shared-verdict:${input.id}`,
      detail: { reason: input.reason },
    });
  });
  await announceVerdicts(ctx);
}

/** What nobody else claims ends with the node's word. Announced by the caller, after the commit. */
export async function discredit(ctx: Ctx, tx: Tx, node: NodeId): Promise<number> {
  const { rows } = await tx.execute<{ id: SharedVerdictId }>(sql`
    with withdrawn as (
      delete from shared_verdict_claims where node = ${node}::uuid returning verdict
    )
    select id from shared_verdicts
    where id in (select verdict from withdrawn) and state in ('pending', 'in-force')
      and not exists (
        select from shared_verdict_claims as other
        where other.verdict = shared_verdicts.id and other.node <> ${node}::uuid
      )`);
  const ended = await endVerdicts(
    ctx,
    tx,
    rows.map(({ id }) => id),
    "who claimed it is in quarantine",
  );
  return ended.length;
}
