/**
 * What a workload was learned to send (docs/drift.md), as it travels: exported by a node, reviewed by a person, signed
 * with a release key, and offered to the nodes of the same workload, which judge it again. It holds no value of any
 * literal.
 */
import { z } from "zod";
import { Dialect } from "./vocabulary.ts";

export const SIGNED_PROFILE_PAYLOAD_TYPE = "application/vnd.picket.profile.v1+json";
/** Bytes of an export as JSON; larger ones stay on their node. */
export const PROFILE_BYTES_MAX = 4 << 20;

export const ProfileMode = z.enum(["learn", "alert", "enforce"]);
/** learn: shapes are taken up. alert: nothing is learned, what drifts is told. enforce: what drifts is blocked. */
export type ProfileMode = z.infer<typeof ProfileMode>;

const sha256 = () => z.string().regex(/^[0-9a-f]{64}$/);

export const TemplateExport = z.strictObject({
  dialect: Dialect,
  /** The tokens, separated by a line feed: a quoted name may hold blanks. */
  words: z.string().min(1).max(262_144),
  /** Digests of the shapes that were seen of it: docs/fingerprint.md. */
  shapes: z.array(sha256()).max(64),
  /** Ids of rules that matched when it was learned; a person has to accept them. */
  rules: z.array(z.string().max(64)).max(32),
  count: z.int().min(0),
  firstSeenMs: z.number(),
  lastSeenMs: z.number(),
  processes: z.int().min(0),
  /** For each literal: how many values it was seen with, at most VALUES_MAX. */
  values: z.array(z.int().min(0)).max(4_096),
});
export type TemplateExport = z.infer<typeof TemplateExport>;

const identity = {
  workload: z.string().max(255),
  databaseUser: z.string().max(255),
  database: z.string().max(255),
};
export const ProfileIdentity = z.strictObject(identity);
export type ProfileIdentity = z.infer<typeof ProfileIdentity>;

export const ProfileExport = z.strictObject({
  kind: z.literal("picket-profile-1"),
  ...identity,
  mode: ProfileMode,
  locked: z.boolean(),
  templates: z.array(TemplateExport),
});
export type ProfileExport = z.infer<typeof ProfileExport>;

/** What a release key signs. */
export const SignedProfile = z.strictObject({
  format: z.literal(1),
  /** Counts up for each workload, database user and database; nodes take the newest, and none twice. */
  version: z.int().min(1),
  profile: ProfileExport,
  /** Shapes that the reviewer took out: who has learned their templates forgets them. */
  removed: z.array(sha256()).max(10_000),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
});
export type SignedProfile = z.infer<typeof SignedProfile>;

export const SignedProfileEnvelope = z.strictObject({
  payloadType: z.literal(SIGNED_PROFILE_PAYLOAD_TYPE),
  payload: z.base64(),
  signatures: z
    .array(z.strictObject({ keyid: z.string().min(1).max(64), sig: z.base64().max(128) }))
    .min(1)
    .max(16),
});
export type SignedProfileEnvelope = z.infer<typeof SignedProfileEnvelope>;

/** A node's own, for review. */
export const ProfileOffer = z.strictObject({ learning: z.boolean(), profile: ProfileExport });
export type ProfileOffer = z.infer<typeof ProfileOffer>;

/** The newest signed profile of a workload, database user and database, by the digest of its signed bytes. */
export const SignedProfileRef = z.strictObject({ ...identity, version: z.int().min(1), digest: sha256() });
export type SignedProfileRef = z.infer<typeof SignedProfileRef>;

export const SignedProfileList = z.strictObject({ items: z.array(SignedProfileRef).max(1_000) });
export type SignedProfileList = z.infer<typeof SignedProfileList>;

/** What a node made of a signed profile. */
export const AdoptedProfile = z.strictObject({
  ...identity,
  version: z.int().min(1),
  adopted: z.int().min(0),
  /** Templates that this node's rules call hostile, and which the profile does not vouch for by rule. */
  refused: z.int().min(0),
});
export type AdoptedProfile = z.infer<typeof AdoptedProfile>;
