/**
 * Takes in a signed version. What is believed, in this order: the signature over the exact bytes, by a registered
 * release key; then their content; then the rule text in them. A version never changes: the same bytes again are
 * welcome, other bytes under its number are not.
 */

import { checkRuleSet } from "@picket/judge/check";
import type { RuleVersionRow } from "@picket/shared/api";
import { type Bundle, bundleDigest, verifyBundle } from "@picket/shared/bundle";
import type { Envelope } from "@picket/shared/bundle-format";
import type { BundleDigest } from "@picket/shared/ids";
import type { RuleSet } from "@picket/shared/rule-set";
import type { Trust } from "@picket/shared/trust-format";
import type { Labels } from "@picket/shared/vocabulary";
import { and, eq, max, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { currentTrust } from "../bundles/trust.ts";
import { actorName, type Ctx, now } from "../context.ts";
import { isUniqueViolation, type Tx } from "../db/client.ts";
import { ruleVersions } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { scopeOf } from "../identity/scope.ts";
import { Refusal } from "../refusal.ts";
import { showVersionRow } from "./show.ts";

type VersionRow = typeof ruleVersions.$inferSelect;

export async function pushVersion({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { ruleSet: string; envelope: Envelope };
}): Promise<{ row: RuleVersionRow; created: boolean }> {
  authorise(ctx, "rules.push");
  const known = await findByDigest(ctx, bundleDigest(Buffer.from(input.envelope.payload, "base64")));
  if (known && known.ruleSet === input.ruleSet)
    return { row: showVersionRow(await countersigned(ctx, known, input.envelope)), created: false };

  const trust = await currentTrust(ctx.db);
  const { bundle, digest } = await verified(ctx, input, trust);
  const { spec } = checkedRules(bundle);
  const created = await ctx.db
    .transaction(async tx => {
      const [row] = await tx
        .insert(ruleVersions)
        .values({
          ruleSet: bundle.ruleSet,
          version: bundle.version,
          bundle: digest,
          envelope: input.envelope,
          ruleText: bundle.ruleText,
          owner: await ownerOf(ctx, tx, bundle),
          signedBy: signers(ctx, input.envelope, trust),
          floor: bundle.floor,
          delegation: bundle.delegation,
          object: bundle.objects.slot,
          lostEventsMax: spec.thresholds.lostEventsMax,
          expiresAt: new Date(bundle.expiresAt),
          pushedAt: now(ctx),
          pushedBy: actorName(ctx.actor),
        })
        .returning();
      await record(ctx, tx, {
        verb: "push",
        subject: `rule-set:${bundle.ruleSet}/${bundle.version}`,
        detail: { bundle: digest, floor: bundle.floor },
      });
      return row!;
    })
    .catch(async error => {
      if (!isUniqueViolation(error, "rule_versions_rule_set_version_pk")) throw error;
      // Somebody was faster: with the same bytes, or with others.
      const stored = await findByDigest(ctx, digest);
      if (stored) return stored;
      throw new Refusal(
        "version-taken",
        `version ${bundle.version} of ${bundle.ruleSet} exists with other bytes: versions never change, sign version ${bundle.version + 1}`,
      );
    });
  return { row: showVersionRow(created), created: true };
}

/** Who pushed its first version; a later push lies within that (identity/resources.ts). */
async function ownerOf(ctx: Ctx, tx: Tx, { ruleSet }: Bundle): Promise<Labels> {
  // Two first pushes at once: the second one belongs to whom the first one made the owner.
  await tx.execute(sql`select pg_advisory_xact_lock(hashtext(${ruleSet}))`);
  const [row] = await tx
    .select({ owner: ruleVersions.owner })
    .from(ruleVersions)
    .where(eq(ruleVersions.ruleSet, ruleSet))
    .limit(1);
  if (!row) return scopeOf(ctx.actor);
  authorise(ctx, "rules.push", { type: "RuleSet", id: ruleSet, labels: row.owner });
  return row.owner;
}

async function findByDigest(ctx: Ctx, digest: BundleDigest) {
  const [row] = await ctx.db.select().from(ruleVersions).where(eq(ruleVersions.bundle, digest));
  return row;
}

async function verified(ctx: Ctx, input: { ruleSet: string; envelope: Envelope }, trust: Trust) {
  const [highest] = await ctx.db
    .select({ floor: max(ruleVersions.floor) })
    .from(ruleVersions)
    .where(and(eq(ruleVersions.ruleSet, input.ruleSet as Bundle["ruleSet"])));
  const result = verifyBundle(input.envelope, {
    ...trust,
    floorOf: () => highest?.floor ?? 0,
    nowMs: ctx.clock(),
    abi: null,
    installing: true,
  });
  if (!result.ok) throw new Refusal("bundle-refused", `${result.error.code}: ${result.error.detail}`);
  if (result.value.bundle.ruleSet !== input.ruleSet)
    throw new Refusal(
      "bundle-refused",
      `the bundle is of rule set ${result.value.bundle.ruleSet}, not of ${input.ruleSet}`,
    );
  return result.value;
}

/** The same bytes with further signatures: after a change of keys, a version is signed anew and not made anew. */
async function countersigned(ctx: Ctx, known: VersionRow, envelope: Envelope): Promise<VersionRow> {
  const trust = await currentTrust(ctx.db);
  const holding = signers(ctx, envelope, trust);
  return ctx.db.transaction(async tx => {
    // Locked: two people who sign at once must not write over each other.
    const [stored] = await tx
      .select({ envelope: ruleVersions.envelope, signedBy: ruleVersions.signedBy })
      .from(ruleVersions)
      .where(eq(ruleVersions.bundle, known.bundle))
      .for("no key update");
    const { signedBy, envelope: signed } = stored!;
    const added = holding.filter(keyid => !signedBy.includes(keyid));
    if (added.length === 0) return known;
    const signatures = [
      ...signed.signatures.filter(({ keyid }) => !added.includes(keyid)),
      ...envelope.signatures.filter(({ keyid }) => added.includes(keyid)),
    ].slice(-16);
    const [row] = await tx
      .update(ruleVersions)
      .set({ envelope: { ...signed, signatures }, signedBy: [...signedBy, ...added] })
      .where(eq(ruleVersions.bundle, known.bundle))
      .returning();
    await record(ctx, tx, {
      verb: "countersign",
      subject: `rule-set:${known.ruleSet}/${known.version}`,
      detail: { by: added },
    });
    return row!;
  });
}

/** The keys whose signature really holds: an envelope may carry others beside them. */
function signers(ctx: Ctx, envelope: Envelope, { keys }: Trust): string[] {
  return envelope.signatures
    .filter(
      signature =>
        verifyBundle(
          { ...envelope, signatures: [signature] },
          { keys, threshold: 1, floorOf: () => 0, nowMs: ctx.clock(), abi: null, installing: false },
        ).ok,
    )
    .map(({ keyid }) => keyid);
}

function checkedRules(bundle: Bundle): RuleSet {
  const checked = checkRuleSet(bundle.ruleText);
  if (!checked.ok)
    throw new Refusal(
      "rule-text-invalid",
      checked.error
        .slice(0, 20)
        .map(
          ({ line, column, path, message, hint }) =>
            `line ${line}, column ${column}: ${path ? `${path}: ` : ""}${message}${hint ? ` (${hint})` : ""}`,
        )
        .join("\n"),
    );
  if (checked.value.metadata.name !== bundle.ruleSet)
    throw new Refusal(
      "rule-text-invalid",
      `metadata.name is ${checked.value.metadata.name}, the bundle's rule set is ${bundle.ruleSet}`,
    );
  return checked.value;
}
