/** Signs and verifies reviewed profiles: with a release key, since a profile lets statements pass. */
import { createHash, type KeyObject } from "node:crypto";
import { readPayload, type SignatureError, signPayload, verifyByThreshold } from "./dsse.ts";
import { SIGNED_PROFILE_PAYLOAD_TYPE, SignedProfile, SignedProfileEnvelope } from "./profile.ts";
import { err, ok, type Result } from "./result.ts";
import type { Trust } from "./trust-format.ts";

export type ProfileError = {
  code: SignatureError["code"] | "too-few-signatures" | "expired";
  detail: string;
};

export const signProfile = (profile: SignedProfile, key: KeyObject): SignedProfileEnvelope =>
  signPayload(SIGNED_PROFILE_PAYLOAD_TYPE, Buffer.from(JSON.stringify(profile)), [key]);

export const signedProfileDigest = ({ payload }: SignedProfileEnvelope): string =>
  createHash("sha256").update(Buffer.from(payload, "base64")).digest("hex");

/** Signature first; only then the content. */
export function verifyProfile(
  envelope: unknown,
  { trust, nowMs }: { trust: Pick<Trust, "keys" | "threshold">; nowMs: number },
): Result<{ signed: SignedProfile; signers: string[] }, ProfileError> {
  const verified = verifyByThreshold(envelope, SignedProfileEnvelope, trust);
  if (!verified.ok) return verified;
  const { payload, signers } = verified.value;
  const signed = readPayload(payload, SignedProfile);
  if (!signed.ok) return signed;
  if (Date.parse(signed.value.expiresAt) <= nowMs)
    return err({ code: "expired", detail: `expired at ${signed.value.expiresAt}` });
  return ok({ signed: signed.value, signers });
}
