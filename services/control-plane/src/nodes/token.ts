/**
 * A node's request token (RFC 7519, RFC 8037): Ed25519, iss = sub = the node, aud picket, at most a minute long.
 * Verified with node:crypto, which takes half of what a WebCrypto library does; a fleet that comes back at once is
 * tens of thousands of these.
 */
import { createPublicKey, verify } from "node:crypto";
import { NODE_TOKEN_AUDIENCE, NODE_TOKEN_LIFETIME_S } from "@picket/shared/contract";
import { NodeId } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import { z } from "zod";

/** How far a node's clock may be off. */
export const SKEW_S = 30;

const Header = z.object({ alg: z.literal("EdDSA"), crit: z.never().optional(), b64: z.never().optional() });
const Claims = z.object({
  iss: NodeId,
  sub: z.string(),
  aud: z.literal(NODE_TOKEN_AUDIENCE),
  iat: z.number(),
  exp: z.number(),
  nbf: z.never().optional(),
  jti: z.string().min(1).max(200),
});
export type NodeClaims = z.infer<typeof Claims>;

export interface NodeToken {
  claims: NodeClaims;
  /** What the signature is over. */
  signed: string;
  signature: Buffer;
}

/** Reads without believing: whose key to use stands in the token itself. */
export function readNodeToken(token: string): Result<NodeToken, string> {
  const [header, payload, signature, more] = token.split(".");
  if (header === undefined || payload === undefined || signature === undefined || more !== undefined)
    return err("the node token is no JWT");
  if (!Header.safeParse(parse(header)).success) return err("the node token must be signed with EdDSA");
  const claims = Claims.safeParse(parse(payload));
  if (!claims.success) return err("the node token lacks a claim, or has a wrong one");
  return ok({
    claims: claims.data,
    signed: `${header}.${payload}`,
    signature: Buffer.from(signature, "base64url"),
  });
}

/** Null: it holds. */
export function refuteNodeToken(
  { claims, signed, signature }: NodeToken,
  { publicKey, nowMs }: { publicKey: string; nowMs: number },
): string | null {
  const { iss, sub, iat, exp } = claims;
  const nowS = nowMs / 1_000;
  if (sub !== iss) return "the node token is of another subject";
  if (exp - iat > NODE_TOKEN_LIFETIME_S) return `the node token lives longer than ${NODE_TOKEN_LIFETIME_S} s`;
  if (exp + SKEW_S <= nowS) return "the node token has expired: is the node's clock right?";
  if (iat - nowS > SKEW_S) return "the node token is from the future: is the node's clock right?";
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
  return verify(null, Buffer.from(signed), key, signature) ? null : "the node token does not verify";
}

function parse(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}
