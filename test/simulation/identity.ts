/** Who a simulated node is: an Ed25519 key, and a token of its own for each call (RFC 8037), as the contract wants. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";

/** As it is kept in a roster: `x` is the public half, which the control plane knows. */
export interface NodeKeyText {
  d: string;
  x: string;
}

export function drawKey(): NodeKeyText {
  // As bytes at once: exporting key objects as JWK by the ten thousand has locked Node 20 up for good.
  const { privateKey, publicKey } = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "der" },
    publicKeyEncoding: { type: "spki", format: "der" },
  });
  return {
    d: privateKey.subarray(-32).toString("base64url"),
    x: publicKey.subarray(-32).toString("base64url"),
  };
}

export const privateKey = ({ d, x }: NodeKeyText): KeyObject =>
  createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x }, format: "jwk" });

const encode = (text: string): string => Buffer.from(text).toString("base64url");
const HEADER = encode('{"alg":"EdDSA"}');

export function nodeToken(key: KeyObject, node: string, nowMs: number, jti: string = randomUUID()): string {
  const iat = Math.floor(nowMs / 1_000);
  const claims = `{"iss":"${node}","sub":"${node}","aud":"picket","iat":${iat},"exp":${iat + 60},"jti":"${jti}"}`;
  const signed = `${HEADER}.${encode(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}
