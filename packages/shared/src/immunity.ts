/**
 * Fleet immunity in words: a node claims that it judged a shape hostile; the control plane judges that again and says
 * so to all with a key that a release key delegated to it; each node judges it again and answers what it made of it.
 * Only the shape's text travels (docs/fingerprint.md): it holds no literal, and each node makes its own fingerprint
 * of it.
 */
import { z } from "zod";
import { NodeId, RuleSetName, RuleVersion, ShapeDigest, SharedVerdictId } from "./ids.ts";
import { SHAPE_TEXT_MAX } from "./shape.ts";
import { Dialect } from "./vocabulary.ts";

export const SHARED_VERDICT_PAYLOAD_TYPE = "application/vnd.picket.shared-verdict.v1+json";

const shape = {
  shape: ShapeDigest,
  dialect: Dialect,
  text: z.string().min(1).max(SHAPE_TEXT_MAX),
};

/** What a node found hostile by its shape, and by which rules. */
export const VerdictClaim = z.strictObject({
  ...shape,
  /** Of the strongest rule. */
  rule: z.string().min(1).max(64),
  ruleSet: RuleSetName,
  version: RuleVersion,
  judgedAt: z.iso.datetime(),
});
export type VerdictClaim = z.infer<typeof VerdictClaim>;

export const ClaimBatch = z.strictObject({ claims: z.array(VerdictClaim).min(1).max(100) });
export type ClaimBatch = z.infer<typeof ClaimBatch>;

/** Taken: pending, or known already. Over the node's cap they are refused, and may be claimed again later. */
export const ClaimBatchResponse = z.strictObject({ taken: z.int(), refused: z.int() });
export type ClaimBatchResponse = z.infer<typeof ClaimBatchResponse>;

const issued = {
  format: z.literal(1),
  id: SharedVerdictId,
  /** Counts up over the fleet; of one id the later one holds. */
  sequence: z.int().min(1),
  issuedAt: z.iso.datetime(),
};

/** What the online key signs. There is no way to say "allow" with it. */
export const SharedVerdict = z.discriminatedUnion("kind", [
  z.strictObject({
    ...issued,
    kind: z.literal("deny"),
    ...shape,
    rule: z.string().min(1).max(64),
    /** Who judged it first. */
    source: NodeId,
    expiresAt: z.iso.datetime(),
  }),
  z.strictObject({ ...issued, kind: z.literal("revoke"), shape: ShapeDigest }),
]);
export type SharedVerdict = z.infer<typeof SharedVerdict>;
export type Denial = Extract<SharedVerdict, { kind: "deny" }>;

export const SharedVerdictEnvelope = z.strictObject({
  payloadType: z.literal(SHARED_VERDICT_PAYLOAD_TYPE),
  payload: z.base64().max(32_768),
  signatures: z
    .array(z.strictObject({ keyid: z.string().min(1).max(64), sig: z.base64().max(128) }))
    .min(1)
    .max(4),
});
export type SharedVerdictEnvelope = z.infer<typeof SharedVerdictEnvelope>;

/** What changed after the sequence that was asked for, oldest first; ask again from `last` while there is `more`. */
export const SharedVerdictFeed = z.strictObject({
  items: z.array(SharedVerdictEnvelope).max(200),
  last: z.int().min(0),
  more: z.boolean(),
});
export type SharedVerdictFeed = z.infer<typeof SharedVerdictFeed>;

/** A long poll ended because there is more to fetch; the fleet's last sequence. */
export const VerdictNotice = z.strictObject({ verdicts: z.int().min(0) });
export type VerdictNotice = z.infer<typeof VerdictNotice>;

/** Why a node does not deny what it was told to. */
export const DisbeliefCode = z.enum([
  "malformed",
  "unsigned",
  "foreign-key",
  "tampered",
  "delegation-expired",
  "expired",
  /** It holds for longer than the delegation lets it. */
  "ttl-above-cap",
  "over-cap",
  "over-node-cap",
  "over-rate",
  /** No statement of the shape can be made here, or another lexer named it. */
  "other-shape",
  /** This node's rules do not call it an attack that is to be blocked. */
  "not-hostile-here",
  /** A signed rule set, or a verdict by hand, allows it. */
  "allowed-here",
  /** A workload of this node sends it, and it was found honest. */
  "honest-here",
]);
export type DisbeliefCode = z.infer<typeof DisbeliefCode>;

export const VerdictAnswer = z.strictObject({
  verdict: SharedVerdictId,
  /** Null: it is believed, and in the kernel's map. */
  because: DisbeliefCode.nullable(),
});
export type VerdictAnswer = z.infer<typeof VerdictAnswer>;

export const VerdictAnswers = z.strictObject({ answers: z.array(VerdictAnswer).min(1).max(200) });
export type VerdictAnswers = z.infer<typeof VerdictAnswers>;

/** In a node's report. */
export const ImmunityReport = z.strictObject({
  /** Of the fleet's shared verdicts, how far this node has read. */
  sequence: z.int().min(0),
  believed: z.int().min(0),
  /** Since the agent started, by reason; of those without a signature that holds nothing else is known. */
  refused: z.partialRecord(DisbeliefCode, z.int().min(0)),
  claimed: z.int().min(0),
  /** Found hostile and not claimed: too many waited, or no shape's text tells it. */
  unclaimed: z.int().min(0),
});
export type ImmunityReport = z.infer<typeof ImmunityReport>;
