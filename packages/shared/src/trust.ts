/** Signs and follows roots of trust (trust-format.ts). Nothing here reads a clock or a disk. */
import type { KeyObject } from "node:crypto";
import { keyIdOf, readPayload, signPayload, verifyByThreshold } from "./dsse.ts";
import { err, ok, type Result } from "./result.ts";
import { TRUST_PAYLOAD_TYPE, type Trust, TrustEnvelope, TrustRoot } from "./trust-format.ts";

export * from "./trust-format.ts";

export const signTrust = (root: TrustRoot, keys: readonly KeyObject[]): TrustEnvelope =>
  signPayload(TRUST_PAYLOAD_TYPE, Buffer.from(JSON.stringify(root)), keys);

/** The trust that follows, or why it does not. */
export function followTrust(envelope: unknown, before: Trust): Result<Trust, string> {
  const byOld = verifyByThreshold(envelope, TrustEnvelope, before);
  if (!byOld.ok) return err(`by the keys of root ${before.version}: ${byOld.error.detail}`);
  const root = readPayload(byOld.value.payload, TrustRoot);
  if (!root.ok) return err(root.error.detail);
  const { version, keys, threshold } = root.value;
  if (version !== before.version + 1)
    return err(`root ${version} does not follow root ${before.version}: each is the next one's guarantor`);
  const wrong = keys.find(({ keyid, publicKey }) => keyid !== keyIdOf(publicKey));
  if (wrong)
    return err(`the key id of ${wrong.publicKey} is ${keyIdOf(wrong.publicKey)}, not ${wrong.keyid}`);
  if (new Set(keys.map(({ keyid }) => keyid)).size < keys.length) return err("a key is named twice");
  if (threshold > keys.length) return err(`${threshold} signatures of ${keys.length} keys cannot be had`);
  // Who cannot sign cannot be trusted with the next root: a typing error would end the chain.
  const byNew = verifyByThreshold(envelope, TrustEnvelope, { keys, threshold });
  if (!byNew.ok) return err(`by its own keys: ${byNew.error.detail}`);
  return ok({ version, threshold, keys });
}
