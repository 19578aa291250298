/** Signs and verifies reviewed profiles: with a release key, since a profile lets statements pass. */
import { createHash, type KeyObject } from "node:crypto";
import { z } from "zod";
import { type SignatureError, signPayload, tooFew, verifyPayload } from "./dsse.ts";
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
  const verified = verifyPayload(envelope, SignedProfileEnvelope, trust.keys);
  if (!verified.ok) return verified;
  const { payload, signers } = verified.value;
  const missing = tooFew(signers, trust.threshold);
  if (missing !== null) return err({ code: "too-few-signatures", detail: missing });
  let content: unknown;
  try {
    content = JSON.parse(payload.toString("utf8"));
  } catch {
    return err({ code: "malformed", detail: "the signed bytes are not JSON" });
  }
  const signed = SignedProfile.safeParse(content);
  if (!signed.success) return err({ code: "malformed", detail: z.prettifyError(signed.error) });
  if (Date.parse(signed.data.expiresAt) <= nowMs)
    return err({ code: "expired", detail: `expired at ${signed.data.expiresAt}` });
  return ok({ signed: signed.data, signers });
}
