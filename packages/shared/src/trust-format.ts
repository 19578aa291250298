/**
 * Which release keys count, and how many must sign: a root, numbered from 1. Each is signed by enough keys of the one
 * before it, and by enough of its own, so that a node which knows any of them can follow to the newest (the idea of
 * TUF's root role). Root 0 is unwritten: the keys that a node pinned when it enrolled, one of which is enough.
 */
import { z } from "zod";
import { ReleaseKey } from "./bundle-format.ts";

export const TRUST_PAYLOAD_TYPE = "application/vnd.picket.trust.v1+json";

export const TrustRoot = z.strictObject({
  format: z.literal(1),
  version: z.int().min(1).max(1_000_000),
  keys: z.array(ReleaseKey).min(1).max(16),
  /** Of these keys must sign a bundle, and the next root. */
  threshold: z.int().min(1).max(16),
  createdAt: z.iso.datetime(),
});
export type TrustRoot = z.infer<typeof TrustRoot>;

export const TrustEnvelope = z.strictObject({
  payloadType: z.literal(TRUST_PAYLOAD_TYPE),
  /** base64 of the root's bytes. */
  payload: z.base64().max(65_536),
  signatures: z
    .array(z.strictObject({ keyid: z.string().min(1).max(64), sig: z.base64().max(200) }))
    .min(1)
    .max(32),
});
export type TrustEnvelope = z.infer<typeof TrustEnvelope>;

/** What counts now. */
export const Trust = z.strictObject({
  /** 0: the registered keys, of which one is enough. */
  version: z.int().min(0),
  threshold: z.int().min(1),
  keys: z.array(ReleaseKey),
});
export type Trust = z.infer<typeof Trust>;
