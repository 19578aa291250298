/** eBPF objects by the SHA-256 of their bytes. The control plane keeps them; only a signed bundle names one. */
import { createHash } from "node:crypto";
import type { ObjectRow } from "@picket/shared/api";
import type { ObjectDigest } from "@picket/shared/ids";
import { eq } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now } from "../context.ts";
import { objects } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { notFound, Refusal } from "../refusal.ts";

export const OBJECT_BYTES_MAX = 8 << 20;

export async function putObject({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { digest: ObjectDigest; bytes: Buffer };
}): Promise<ObjectRow> {
  authorise(ctx, "bundles.put-object");
  if (input.bytes.length === 0) throw new Refusal("invalid", "the object is empty");
  const digest = createHash("sha256").update(input.bytes).digest("hex");
  if (digest !== input.digest)
    throw new Refusal("digest-mismatch", `the bytes received have the SHA-256 ${digest}`);
  await ctx.db.transaction(async tx => {
    const stored = await tx
      .insert(objects)
      .values({
        digest: input.digest,
        bytes: input.bytes,
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
      })
      .onConflictDoNothing()
      .returning({ digest: objects.digest });
    if (stored.length > 0)
      await record(ctx, tx, {
        verb: "put-object",
        subject: `object:${digest}`,
        detail: { bytes: input.bytes.length },
      });
  });
  return { digest: input.digest, bytes: input.bytes.length };
}

export async function getObject({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { digest: ObjectDigest };
}): Promise<Buffer> {
  authorise(ctx, "agent.object");
  const [row] = await ctx.db
    .select({ bytes: objects.bytes })
    .from(objects)
    .where(eq(objects.digest, input.digest));
  if (!row) throw notFound(`object ${input.digest}`);
  return row.bytes;
}
