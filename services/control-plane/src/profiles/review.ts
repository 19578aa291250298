/** What a reviewer sees: what nodes offer, and how an offer differs from the signed profile in force. */
import type { ProfileOfferDetails, ProfileOfferRow, SignedProfileRow } from "@picket/shared/api";
import { type ProfileIdentity, SignedProfile, type TemplateExport } from "@picket/shared/profile";
import { and, asc, desc, eq, isNull, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { nodes, profileOffers, signedProfiles } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { type Page, type PageInput, pageOf } from "../page.ts";
import { notFound } from "../refusal.ts";

const offerColumns = {
  id: profileOffers.id,
  node: profileOffers.node,
  hostname: nodes.hostname,
  workload: profileOffers.workload,
  databaseUser: profileOffers.databaseUser,
  database: profileOffers.database,
  learning: profileOffers.learning,
  templates: profileOffers.templates,
  offeredAt: profileOffers.offeredAt,
};

/**
 * Of each user and database of each workload the offer with the most templates, and how many nodes offer one; of one
 * workload all of them. Lists that change little: the cursor is how many were shown.
 */
export async function listOffers({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput & { workload?: string | undefined };
}): Promise<Page<ProfileOfferRow>> {
  authorise(ctx, "profiles.list-offers");
  const { workload, limit, cursor = 0 } = input;
  const by = [profileOffers.workload, profileOffers.databaseUser, profileOffers.database];
  const columns = {
    ...offerColumns,
    nodes: sql<number>`count(*) over (partition by ${sql.join(by, sql`, `)})::int`,
  };
  const one = workload === undefined ? ctx.db.selectDistinctOn(by, columns) : ctx.db.select(columns);
  const rows = await one
    .from(profileOffers)
    .innerJoin(nodes, eq(nodes.id, profileOffers.node))
    .where(
      and(isNull(nodes.retiredAt), workload === undefined ? undefined : eq(profileOffers.workload, workload)),
    )
    .orderBy(...by.map(column => asc(column)), desc(profileOffers.templates), asc(profileOffers.id))
    .limit(limit + 1)
    .offset(cursor);
  const show = (row: (typeof rows)[number]) => ({ ...row, offeredAt: row.offeredAt.toISOString() });
  return pageOf(rows, input, () => cursor + limit, show);
}

export async function showOffer({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { id: string };
}): Promise<ProfileOfferDetails> {
  authorise(ctx, "profiles.show-offer");
  const [row] = await ctx.db
    .select({ ...offerColumns, profile: profileOffers.profile })
    .from(profileOffers)
    .innerJoin(nodes, eq(nodes.id, profileOffers.node))
    .where(eq(profileOffers.id, input.id));
  if (!row) throw notFound(`offered profile ${input.id}`);
  const inForce = await newest(ctx, row);
  const known = new Map(inForce?.profile.templates.map(template => [keyOf(template), template]));
  const offered = new Set(row.profile.templates.map(keyOf));
  const { profile, ...offer } = row;
  return {
    ...offer,
    offeredAt: offer.offeredAt.toISOString(),
    profile,
    inForce: inForce?.version ?? null,
    added: profile.templates.flatMap((template, at) => (known.has(keyOf(template)) ? [] : at)),
    changed: profile.templates.flatMap((template, at) => {
      const signed = known.get(keyOf(template));
      return signed && saysMore(template, signed) ? at : [];
    }),
    missing: inForce?.profile.templates.filter(template => !offered.has(keyOf(template))) ?? [],
  };
}

export async function listSigned({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PageInput;
}): Promise<Page<SignedProfileRow>> {
  authorise(ctx, "profiles.list");
  const { limit, cursor = 0 } = input;
  const rows = await ctx.db
    .select()
    .from(signedProfiles)
    .orderBy(
      asc(signedProfiles.workload),
      asc(signedProfiles.databaseUser),
      asc(signedProfiles.database),
      desc(signedProfiles.version),
    )
    .limit(limit + 1)
    .offset(cursor);
  return pageOf(rows, input, () => cursor + limit, signedRow);
}

export const signedRow = ({ envelope: _, ...row }: typeof signedProfiles.$inferSelect): SignedProfileRow => ({
  ...row,
  expiresAt: row.expiresAt.toISOString(),
  pushedAt: row.pushedAt.toISOString(),
});

/** Its content was verified when it was pushed. */
async function newest(
  ctx: Ctx,
  { workload, databaseUser, database }: ProfileIdentity,
): Promise<SignedProfile | null> {
  const [row] = await ctx.db
    .select({ envelope: signedProfiles.envelope })
    .from(signedProfiles)
    .where(
      and(
        eq(signedProfiles.workload, workload),
        eq(signedProfiles.databaseUser, databaseUser),
        eq(signedProfiles.database, database),
      ),
    )
    .orderBy(desc(signedProfiles.version))
    .limit(1);
  return row ? SignedProfile.parse(JSON.parse(Buffer.from(row.envelope.payload, "base64").toString())) : null;
}

const keyOf = ({ dialect, words }: TemplateExport): string => `${dialect}\n${words}`;

/** Nobody has reviewed a further shape or waived rule; counts and times let nothing pass. */
const saysMore = (offered: TemplateExport, signed: TemplateExport): boolean =>
  offered.shapes.some(shape => !signed.shapes.includes(shape)) ||
  offered.rules.some(rule => !signed.rules.includes(rule));
