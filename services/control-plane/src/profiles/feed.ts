/** What nodes read: of the workloads that a node says it has, the newest signed profile of each, until it expires. */
import type { SignedProfileEnvelope, SignedProfileList } from "@picket/shared/profile";
import { eq, sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { signedProfiles } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";

export async function profileFeed({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { workloads: readonly string[] };
}): Promise<SignedProfileList> {
  authorise(ctx, "agent.profiles");
  const { rows } = await ctx.db.execute<SignedProfileList["items"][number]>(sql`
    select distinct on (workload, database_user, database)
      workload, database_user as "databaseUser", database, version, digest
    from signed_profiles
    where workload = any(${sql.param([...input.workloads])}::text[])
      and expires_at > ${now(ctx).toISOString()}::timestamptz
    order by workload, database_user, database, version desc
    limit 1000`);
  return { items: rows };
}

export async function signedProfile({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { digest: string };
}): Promise<SignedProfileEnvelope> {
  authorise(ctx, "agent.profile");
  const [row] = await ctx.db
    .select({ envelope: signedProfiles.envelope })
    .from(signedProfiles)
    .where(eq(signedProfiles.digest, input.digest));
  if (!row) throw notFound(`signed profile ${input.digest}`);
  return row.envelope;
}
