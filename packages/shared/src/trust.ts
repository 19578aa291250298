/** Signs and follows roots of trust (trust-format.ts). Nothing here reads a clock or a disk. */
import { createHash, type KeyObject } from "node:crypto";
import { z } from "zod";
import { signPayload, tooFew, verifyPayload } from "./dsse.ts";
import { err, ok, type Result } from "./result.ts";
import { TRUST_PAYLOAD_TYPE, type Trust, TrustEnvelope, TrustRoot } from "./trust-format.ts";

export * from "./trust-format.ts";

export const signTrust = (root: TrustRoot, keys: readonly KeyObject[]): TrustEnvelope =>
  signPayload(TRUST_PAYLOAD_TYPE, Buffer.from(JSON.stringify(root)), keys);

/** The trust that follows, or why it does not. */
export function followTrust(envelope: unknown, before: Trust): Result<Trust, string> {
  const byOld = signedBy(envelope, before);
  if (!byOld.ok) return err(`by the keys of root ${before.version}: ${byOld.error}`);
  let content: unknown;
  try {
    content = JSON.parse(byOld.value.toString("utf8"));
  } catch {
    return err("the signed bytes are not JSON");
  }
  const parsed = TrustRoot.safeParse(content);
  if (!parsed.success) return err(z.prettifyError(parsed.error));
  const { version, keys, threshold } = parsed.data;
  if (version !== before.version + 1)
    return err(`root ${version} does not follow root ${before.version}: each is the next one's guarantor`);
  const wrong = keys.find(({ keyid, publicKey }) => keyid !== keyIdOf(publicKey));
  if (wrong)
    return err(`the key id of ${wrong.publicKey} is ${keyIdOf(wrong.publicKey)}, not ${wrong.keyid}`);
  if (new Set(keys.map(({ keyid }) => keyid)).size < keys.length) return err("a key is named twice");
  if (threshold > keys.length) return err(`${threshold} signatures of ${keys.length} keys cannot be had`);
  // Who cannot sign cannot be trusted with the next root: a typing error would end the chain.
  const byNew = signedBy(envelope, { keys, threshold });
  if (!byNew.ok) return err(`by its own keys: ${byNew.error}`);
  return ok({ version, threshold, keys });
}

/** The signed bytes, if enough of these keys have signed them. */
function signedBy(
  envelope: unknown,
  { keys, threshold }: Pick<Trust, "keys" | "threshold">,
): Result<Buffer, string> {
  const signed = verifyPayload(envelope, TrustEnvelope, keys);
  if (!signed.ok) return err(signed.error.detail);
  const missing = tooFew(signed.value.signers, threshold);
  return missing === null ? ok(signed.value.payload) : err(missing);
}

const keyIdOf = (publicKey: string): string =>
  createHash("sha256").update(Buffer.from(publicKey, "base64url")).digest("hex").slice(0, 16);
