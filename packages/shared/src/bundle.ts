/**
 * A bundle is the exact bytes that release keys sign, in a DSSE envelope
 * (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md). Agents verify the signature over the
 * bytes before they parse them. Ed25519 (RFC 8032). Time is an argument: nothing here reads a clock.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { z } from "zod";
import { BUNDLE_PAYLOAD_TYPE, Bundle, Envelope, type ReleaseKey } from "./bundle-format.ts";
import type { BundleDigest } from "./ids.ts";
import { err, ok, type Result } from "./result.ts";

export * from "./bundle-format.ts";

/** Why a node refuses a bundle; each is reported and raises an alert. */
export type VerifyError =
  | { code: "malformed"; detail: string }
  | { code: "unsigned"; detail: string }
  | { code: "foreign-key"; detail: string }
  | { code: "tampered"; detail: string }
  | { code: "expired"; detail: string }
  | { code: "below-floor"; detail: string }
  | { code: "wrong-abi"; detail: string };

/** DSSE pre-authentication encoding: what is really signed. */
function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ]);
}

export function bundleDigest(payload: Uint8Array): BundleDigest {
  return createHash("sha256").update(payload).digest("hex") as BundleDigest;
}

/** The raw 32 bytes of an Ed25519 key's public half. */
function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ type: "spki", format: "der" }).subarray(-32);
}

export function releaseKey(key: KeyObject): ReleaseKey {
  const raw = rawPublicKey(key);
  return {
    keyid: createHash("sha256").update(raw).digest("hex").slice(0, 16),
    publicKey: raw.toString("base64url"),
  };
}

export function signBundle(payload: Uint8Array, keys: readonly KeyObject[]): Envelope {
  const message = preAuthenticationEncoding(BUNDLE_PAYLOAD_TYPE, payload);
  return {
    payloadType: BUNDLE_PAYLOAD_TYPE,
    payload: Buffer.from(payload).toString("base64"),
    signatures: keys.map(key => ({
      keyid: releaseKey(key).keyid,
      sig: sign(null, message, key).toString("base64"),
    })),
  };
}

function toPublicKey({ publicKey }: ReleaseKey): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
}

/**
 * Verifies in the order that gives an attacker least: shape of the envelope, signature over the bytes, only
 * then their content. `floor` is the lowest version this node accepts for the rule set; `installing` is false
 * for the last good bundle at start-up, which expiry and floor do not end.
 */
export function verifyBundle(
  envelope: unknown,
  trust: {
    keys: readonly ReleaseKey[];
    floorOf: (ruleSet: string) => number;
    nowMs: number;
    /** Null where nothing is loaded: the control plane keeps bundles for agents of any ABI. */
    abi: number | null;
    installing: boolean;
  },
): Result<{ bundle: Bundle; digest: BundleDigest }, VerifyError> {
  const unsigned =
    typeof envelope === "object" &&
    envelope !== null &&
    Array.isArray((envelope as { signatures?: unknown }).signatures) &&
    (envelope as { signatures: unknown[] }).signatures.length === 0;
  if (unsigned) return err({ code: "unsigned", detail: "the envelope carries no signature" });
  const parsed = Envelope.safeParse(envelope);
  if (!parsed.success) return err({ code: "malformed", detail: z.prettifyError(parsed.error) });

  const payload = Buffer.from(parsed.data.payload, "base64");
  const message = preAuthenticationEncoding(parsed.data.payloadType, payload);
  const known = parsed.data.signatures.flatMap(({ keyid, sig }) => {
    const key = trust.keys.find(candidate => candidate.keyid === keyid);
    return key ? [{ key, sig }] : [];
  });
  if (known.length === 0)
    return err({
      code: "foreign-key",
      detail: `signed by ${parsed.data.signatures.map(s => s.keyid).join(", ")}; this node trusts ${trust.keys.map(k => k.keyid).join(", ") || "no key"}`,
    });
  const valid = known.some(({ key, sig }) =>
    verify(null, message, toPublicKey(key), Buffer.from(sig, "base64")),
  );
  if (!valid) return err({ code: "tampered", detail: "the signature does not match the bundle's bytes" });

  let content: unknown;
  try {
    content = JSON.parse(payload.toString("utf8"));
  } catch {
    return err({ code: "malformed", detail: "the signed bytes are not JSON" });
  }
  const bundle = Bundle.safeParse(content);
  if (!bundle.success) return err({ code: "malformed", detail: z.prettifyError(bundle.error) });
  if (trust.abi !== null && bundle.data.abi !== trust.abi)
    return err({
      code: "wrong-abi",
      detail: `built for ABI ${bundle.data.abi}; this agent speaks ${trust.abi}`,
    });
  if (trust.installing) {
    const floor = trust.floorOf(bundle.data.ruleSet);
    if (bundle.data.version < floor)
      return err({
        code: "below-floor",
        detail: `version ${bundle.data.version} is below the floor ${floor}`,
      });
    if (Date.parse(bundle.data.expiresAt) <= trust.nowMs)
      return err({ code: "expired", detail: `expired at ${bundle.data.expiresAt}` });
  }
  return ok({ bundle: bundle.data, digest: bundleDigest(payload) });
}
