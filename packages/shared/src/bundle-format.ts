/** What a bundle, its envelope and a release key look like. Apart from bundle.ts, which signs and verifies with
 * node:crypto, so that the console can import the contract and the API in a browser. */
import { z } from "zod";
import { ObjectDigest, RuleSetName, RuleVersion } from "./ids.ts";
import { Duration } from "./vocabulary.ts";

export const BUNDLE_PAYLOAD_TYPE = "application/vnd.picket.bundle.v1+json";

/** A pinned release key: raw Ed25519 public key. */
export const ReleaseKey = z.strictObject({
  /** First 16 hex digits of the SHA-256 of the raw public key. */
  keyid: z.string().regex(/^[0-9a-f]{16}$/),
  /** base64url of the 32 raw bytes. */
  publicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type ReleaseKey = z.infer<typeof ReleaseKey>;

/**
 * A key that the control plane holds online and that may say one thing: that nodes should deny a shape for a while,
 * within these bounds (docs/immunity.md). Named in a bundle, so signed by a release key, rolled out and rolled back
 * like everything in it.
 */
export const Delegation = ReleaseKey.extend({
  expiresAt: z.iso.datetime(),
  caps: z.strictObject({
    /** Shared verdicts in force at once, in the fleet and of what one node was the first to judge. */
    inForce: z.int().min(1).max(1_000),
    inForcePerNode: z.int().min(1).max(1_000),
    /** Issued within an hour. */
    perHour: z.int().min(1).max(1_000),
    /** The longest that one holds. */
    ttl: Duration,
  }),
});
export type Delegation = z.infer<typeof Delegation>;

export const Bundle = z.strictObject({
  format: z.literal(1),
  ruleSet: RuleSetName,
  version: RuleVersion,
  /** The author's YAML, as written: the agent compiles it. */
  ruleText: z.string(),
  /** Digest of the slot program; the agent has it or downloads it by digest. */
  objects: z.strictObject({ slot: ObjectDigest }),
  /** PICKET_ABI of event.h that the object was built for. */
  abi: z.int().min(1),
  /** Oldest kernel, major.minor. */
  kernelMin: z.string().regex(/^\d+\.\d+$/),
  /** Nodes refuse versions below this once they have accepted this bundle. */
  floor: z.int().min(0),
  createdAt: z.iso.datetime(),
  /** Installing later is refused; what is installed goes on. */
  expiresAt: z.iso.datetime(),
  /** Who may share verdicts with the nodes that run this version; absent: nobody. */
  delegation: Delegation.optional(),
});
export type Bundle = z.infer<typeof Bundle>;

export const Envelope = z.strictObject({
  payloadType: z.literal(BUNDLE_PAYLOAD_TYPE),
  /** base64 of the bundle's bytes. */
  payload: z.base64(),
  signatures: z
    .array(z.strictObject({ keyid: z.string().min(1), sig: z.base64() }))
    .min(1)
    .max(16),
});
export type Envelope = z.infer<typeof Envelope>;
