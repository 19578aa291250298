/**
 * A node proves itself with a token that it signed with its own key (RFC 8037): iss = sub = the node, aud picket,
 * at most a minute long. Whose key to use is read from the token before it is verified; nothing else is believed
 * until the signature over it holds.
 */
import { createPublicKey } from "node:crypto";
import { NODE_TOKEN_AUDIENCE, NODE_TOKEN_LIFETIME_S } from "@picket/shared/contract";
import { NodeId } from "@picket/shared/ids";
import { and, eq, isNull } from "drizzle-orm";
import { decodeJwt, errors, jwtVerify } from "jose";
import type { Actor, Services } from "../context.ts";
import { nodes } from "../db/schema.ts";
import { Refusal } from "../refusal.ts";

/** How far a node's clock may be off. */
const SKEW_S = 30;

const refuse = (detail: string) => new Refusal("unauthenticated", detail);

export async function authenticateNode(services: Services, token: string): Promise<Actor> {
  const node = NodeId.safeParse(issuerOf(token));
  if (!node.success) throw refuse("the node token names no node");
  const [row] = await services.db
    .select({ publicKey: nodes.publicKey })
    .from(nodes)
    .where(and(eq(nodes.id, node.data), isNull(nodes.retiredAt)));
  if (!row) throw refuse(`node ${node.data} is not enrolled, or retired`);
  await verifyNodeToken(token, { node: node.data, publicKey: row.publicKey, nowMs: services.clock() });
  return { kind: "node", node: node.data };
}

function issuerOf(token: string): unknown {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

export async function verifyNodeToken(
  token: string,
  { node, publicKey, nowMs }: { node: NodeId; publicKey: string; nowMs: number },
): Promise<void> {
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["EdDSA"],
      issuer: node,
      subject: node,
      audience: NODE_TOKEN_AUDIENCE,
      requiredClaims: ["iat", "exp", "jti"],
      clockTolerance: SKEW_S,
      currentDate: new Date(nowMs),
    });
    const { iat, exp } = payload as { iat: number; exp: number };
    if (exp - iat > NODE_TOKEN_LIFETIME_S)
      throw refuse(`the node token lives longer than ${NODE_TOKEN_LIFETIME_S} s`);
    if (iat - nowMs / 1_000 > SKEW_S)
      throw refuse(`the node token is from the future: is the node's clock right?`);
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw refuse("the node token has expired: is the node's clock right?");
    if (error instanceof errors.JOSEError) throw refuse("the node token does not verify");
    throw error;
  }
}
