import type { Envelope } from "@picket/shared/bundle-format";
import type { BundleDigest } from "@picket/shared/ids";
import { eq } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { ruleVersions } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound } from "../refusal.ts";

/** Any node may read any bundle: they are signed, not secret, and the digest must be known. */
export async function getBundle({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { digest: BundleDigest };
}): Promise<Envelope> {
  authorise(ctx, "agent.bundle");
  const [row] = await ctx.db
    .select({ envelope: ruleVersions.envelope })
    .from(ruleVersions)
    .where(eq(ruleVersions.bundle, input.digest));
  if (!row) throw notFound(`bundle ${input.digest}`);
  return row.envelope;
}
