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
  const publicKey = rawPublicKey(key).toString("base64url");
  return { keyid: keyIdOf(publicKey), publicKey };
}

/** Of a public half in base64url. */
export const keyIdOf = (publicKey: string): string =>
  createHash("sha256").update(Buffer.from(publicKey, "base64url")).digest("hex").slice(0, 16);

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

/** The very same bytes with one more signature, or that key's signature made anew: written again they could be others. */
export function countersigned<Envelope extends Signed<string>>(envelope: Envelope, key: KeyObject): Envelope {
  const payload = Buffer.from(envelope.payload, "base64");
  const [made] = signPayload(envelope.payloadType, payload, [key]).signatures;
  const others = envelope.signatures.filter(({ keyid }) => keyid !== made!.keyid);
  return { ...envelope, signatures: [...others, made!] };
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

/** As verifyPayload, where so many of the keys must have signed. */
export function verifyByThreshold(
  envelope: unknown,
  schema: z.ZodType<Signed<string>>,
  { keys, threshold }: { keys: readonly ReleaseKey[]; threshold: number },
): Result<
  { payload: Buffer; signers: string[] },
  { code: SignatureError["code"] | "too-few-signatures"; detail: string }
> {
  const verified = verifyPayload(envelope, schema, keys);
  if (!verified.ok) return verified;
  const { payload, signers } = verified.value;
  if (signers.length >= threshold) return ok({ payload, signers });
  const detail = `${signers.length} of the ${threshold} signatures that are needed: by ${signers.join(", ")}`;
  return err({ code: "too-few-signatures", detail });
}

/** What the verified bytes say. */
export function readPayload<Content>(
  payload: Buffer,
  schema: z.ZodType<Content>,
): Result<Content, { code: "malformed"; detail: string }> {
  let content: unknown;
  try {
    content = JSON.parse(payload.toString("utf8"));
  } catch {
    return err({ code: "malformed", detail: "the signed bytes are not JSON" });
  }
  const parsed = schema.safeParse(content);
  return parsed.success ? ok(parsed.data) : err({ code: "malformed", detail: z.prettifyError(parsed.error) });
}

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
