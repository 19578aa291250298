/** Takes in a reviewed profile: what a registered release key has signed, and a newer version than the last. */
import type { SignedProfileRow } from "@picket/shared/api";
import type { SignedProfileEnvelope } from "@picket/shared/profile";
import { signedProfileDigest, verifyProfile } from "@picket/shared/signed-profile";
import { and, eq, max } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { currentTrust } from "../bundles/trust.ts";
import { actorName, type Ctx, now } from "../context.ts";
import { isUniqueViolation } from "../db/client.ts";
import { signedProfiles } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { Refusal } from "../refusal.ts";
import { signedRow } from "./review.ts";

export async function pushProfile({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { envelope: SignedProfileEnvelope };
}): Promise<SignedProfileRow> {
  authorise(ctx, "profiles.push");
  const { envelope } = input;
  const trust = await currentTrust(ctx.db);
  const verified = verifyProfile(envelope, { trust, nowMs: ctx.clock() });
  if (!verified.ok) throw new Refusal("bundle-refused", `${verified.error.code}: ${verified.error.detail}`);
  const { signed, signers } = verified.value;
  const { workload, databaseUser, database, templates } = signed.profile;
  const digest = signedProfileDigest(envelope);
  return ctx.db
    .transaction(async tx => {
      const [last] = await tx
        .select({ version: max(signedProfiles.version) })
        .from(signedProfiles)
        .where(
          and(
            eq(signedProfiles.workload, workload),
            eq(signedProfiles.databaseUser, databaseUser),
            eq(signedProfiles.database, database),
          ),
        );
      if (signed.version <= (last?.version ?? 0))
        throw new Refusal(
          "version-taken",
          `version ${last!.version} of this profile is there: sign version ${last!.version! + 1}`,
        );
      const [row] = await tx
        .insert(signedProfiles)
        .values({
          digest,
          workload,
          databaseUser,
          database,
          version: signed.version,
          templates: templates.length,
          removed: signed.removed.length,
          envelope,
          signedBy: signers,
          expiresAt: new Date(signed.expiresAt),
          pushedAt: now(ctx),
          pushedBy: actorName(ctx.actor),
        })
        .returning();
      await record(ctx, tx, {
        verb: "push",
        subject: `profile:${workload}/${databaseUser}/${database}/${signed.version}`,
        detail: { digest, templates: templates.length, removed: signed.removed.length, signedBy: signers },
      });
      return signedRow(row!);
    })
    .catch(error => {
      if (!isUniqueViolation(error, "signed_profiles_version")) throw error;
      throw new Refusal("version-taken", `version ${signed.version} of this profile was just pushed`);
    });
}
