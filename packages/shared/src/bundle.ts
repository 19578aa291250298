/**
 * A bundle is the exact bytes that release keys sign, in a DSSE envelope
 * (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md). Agents verify the signature over the
 * bytes before they parse them. Ed25519 (RFC 8032). Time is an argument: nothing here reads a clock.
 */
import { createHash, type KeyObject } from "node:crypto";
import { BUNDLE_PAYLOAD_TYPE, Bundle, Envelope, type ReleaseKey } from "./bundle-format.ts";
import { publicKeyOf, readPayload, signPayload, verifyByThreshold } from "./dsse.ts";
import type { BundleDigest } from "./ids.ts";
import { err, ok, type Result } from "./result.ts";

export * from "./bundle-format.ts";

/** Why a node refuses a bundle; each is reported and raises an alert. */
export type VerifyError =
  | { code: "malformed"; detail: string }
  | { code: "unsigned"; detail: string }
  | { code: "foreign-key"; detail: string }
  | { code: "tampered"; detail: string }
  | { code: "too-few-signatures"; detail: string }
  | { code: "expired"; detail: string }
  | { code: "below-floor"; detail: string }
  | { code: "wrong-abi"; detail: string };

export function bundleDigest(payload: Uint8Array): BundleDigest {
  return createHash("sha256").update(payload).digest("hex") as BundleDigest;
}

export const releaseKey: (key: KeyObject) => ReleaseKey = publicKeyOf;

export const signBundle = (payload: Uint8Array, keys: readonly KeyObject[]): Envelope =>
  signPayload(BUNDLE_PAYLOAD_TYPE, payload, keys);

/**
 * Verifies in the order that gives an attacker least: shape of the envelope, signature over the bytes, only
 * then their content. `floor` is the lowest version this node accepts for the rule set; `installing` is false
 * for the last good bundle at start-up, which expiry and floor do not end.
 */
export function verifyBundle(
  envelope: unknown,
  trust: {
    keys: readonly ReleaseKey[];
    /** How many of them must have signed. */
    threshold: number;
    floorOf: (ruleSet: string) => number;
    nowMs: number;
    /** Null where nothing is loaded: the control plane keeps bundles for agents of any ABI. */
    abi: number | null;
    installing: boolean;
  },
): Result<{ bundle: Bundle; digest: BundleDigest }, VerifyError> {
  const signed = verifyByThreshold(envelope, Envelope, trust);
  if (!signed.ok) return signed;
  const { payload } = signed.value;
  const read = readPayload(payload, Bundle);
  if (!read.ok) return read;
  const bundle = read.value;
  if (trust.abi !== null && bundle.abi !== trust.abi)
    return err({
      code: "wrong-abi",
      detail: `built for ABI ${bundle.abi}; this agent speaks ${trust.abi}`,
    });
  if (trust.installing) {
    const floor = trust.floorOf(bundle.ruleSet);
    if (bundle.version < floor)
      return err({
        code: "below-floor",
        detail: `version ${bundle.version} is below the floor ${floor}`,
      });
    if (Date.parse(bundle.expiresAt) <= trust.nowMs)
      return err({ code: "expired", detail: `expired at ${bundle.expiresAt}` });
  }
  return ok({ bundle: bundle, digest: bundleDigest(payload) });
}
