/**
 * Signatures over exact bytes in a DSSE envelope
 * (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md), Ed25519 (RFC 8032). The payload's type is
 * signed with it, so that what was signed as one thing is never taken for another.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { z } from "zod";
import type { ReleaseKey } from "./bundle-format.ts";
import { err, ok, type Result } from "./result.ts";

export type Signed<Type extends string> = {
  payloadType: Type;
  payload: string;
  signatures: { keyid: string; sig: string }[];
};

export type SignatureError = {
  code: "malformed" | "unsigned" | "foreign-key" | "tampered";
  detail: string;
};

/** The raw 32 bytes of an Ed25519 key's public half. */
function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ type: "spki", format: "der" }).subarray(-32);
}

/** The public half, as nodes pin it and bundles name it. */
export function publicKeyOf(key: KeyObject): ReleaseKey {
  const raw = rawPublicKey(key);
  return {
    keyid: createHash("sha256").update(raw).digest("hex").slice(0, 16),
    publicKey: raw.toString("base64url"),
  };
}

export function signPayload<Type extends string>(
  payloadType: Type,
  payload: Uint8Array,
  keys: readonly KeyObject[],
): Signed<Type> {
  const message = preAuthenticationEncoding(payloadType, payload);
  return {
    payloadType,
    payload: Buffer.from(payload).toString("base64"),
    signatures: keys.map(key => ({
      keyid: publicKeyOf(key).keyid,
      sig: sign(null, message, key).toString("base64"),
    })),
  };
}

/** The signed bytes and by whom, or why nobody vouches for them. Their content is not looked at. */
export function verifyPayload<Key extends ReleaseKey>(
  envelope: unknown,
  schema: z.ZodType<Signed<string>>,
  keys: readonly Key[],
): Result<{ payload: Buffer; key: Key; signers: string[] }, SignatureError> {
  const unsigned =
    typeof envelope === "object" &&
    envelope !== null &&
    Array.isArray((envelope as { signatures?: unknown }).signatures) &&
    (envelope as { signatures: unknown[] }).signatures.length === 0;
  if (unsigned) return err({ code: "unsigned", detail: "the envelope carries no signature" });
  const parsed = schema.safeParse(envelope);
  if (!parsed.success) return err({ code: "malformed", detail: z.prettifyError(parsed.error) });

  const { payloadType, signatures } = parsed.data;
  const payload = Buffer.from(parsed.data.payload, "base64");
  const known = signatures.flatMap(({ keyid, sig }) => {
    const key = keys.find(candidate => candidate.keyid === keyid);
    return key ? [{ key, sig }] : [];
  });
  if (known.length === 0)
    return err({
      code: "foreign-key",
      detail: `signed by ${signatures.map(s => s.keyid).join(", ")}; this node trusts ${keys.map(k => k.keyid).join(", ") || "no key"}`,
    });
  const message = preAuthenticationEncoding(payloadType, payload);
  const valid = known.filter(({ key, sig }) =>
    verify(null, message, toPublicKey(key), Buffer.from(sig, "base64")),
  );
  const [first] = valid;
  if (!first) return err({ code: "tampered", detail: "the signature does not match the signed bytes" });
  // A key that signs twice is one key.
  const signers = [...new Map(valid.map(({ key }) => [key.publicKey, key.keyid])).values()];
  return ok({ payload, key: first.key, signers });
}

/** Null: enough have signed. */
export const tooFew = (signers: readonly string[], threshold: number): string | null =>
  signers.length >= threshold
    ? null
    : `${signers.length} of the ${threshold} signatures that are needed: by ${signers.join(", ")}`;

/** What is really signed. */
function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ]);
}

function toPublicKey({ publicKey }: ReleaseKey): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
}
