/** Branded ids: swapping a node and a bundle does not compile. */
import { z } from "zod";

const uuid = () => z.uuid();

export const NodeId = uuid().brand<"NodeId">();
export type NodeId = z.infer<typeof NodeId>;
export const RolloutId = uuid().brand<"RolloutId">();
export type RolloutId = z.infer<typeof RolloutId>;
export const AssignmentId = uuid().brand<"AssignmentId">();
export type AssignmentId = z.infer<typeof AssignmentId>;
export const AlertId = uuid().brand<"AlertId">();
export type AlertId = z.infer<typeof AlertId>;
export const SharedVerdictId = uuid().brand<"SharedVerdictId">();
export type SharedVerdictId = z.infer<typeof SharedVerdictId>;
/** Drawn by the node for each event it spools: the idempotency key of ingest. */
export const EventId = uuid().brand<"EventId">();
export type EventId = z.infer<typeof EventId>;

const sha256Hex = () => z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 in lower-case hex");

/** SHA-256 of the exact bundle payload bytes. */
export const BundleDigest = sha256Hex().brand<"BundleDigest">();
export type BundleDigest = z.infer<typeof BundleDigest>;
/** SHA-256 of an eBPF object file. */
export const ObjectDigest = sha256Hex().brand<"ObjectDigest">();
export type ObjectDigest = z.infer<typeof ObjectDigest>;
/** SHA-256 of a normalised shape: what travels between nodes (docs/fingerprint.md). */
export const ShapeDigest = sha256Hex().brand<"ShapeDigest">();
export type ShapeDigest = z.infer<typeof ShapeDigest>;

/** A rule set's name: DNS label. */
export const RuleSetName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "a DNS label: lower-case letters, digits and inner hyphens")
  .brand<"RuleSetName">();
export type RuleSetName = z.infer<typeof RuleSetName>;

/** Versions of one rule set count up from 1. */
export const RuleVersion = z.int().min(1).max(2_147_483_647).brand<"RuleVersion">();
export type RuleVersion = z.infer<typeof RuleVersion>;
