/**
 * From a node's token to the node. Whose key to use is read from the token before it is verified; nothing else is
 * believed until the signature over it holds, and each token is taken once.
 */
import type { Actor, Services } from "../context.ts";
import { Refusal } from "../refusal.ts";
import { readNodeToken, refuteNodeToken } from "./token.ts";

const refuse = (detail: string) => new Refusal("unauthenticated", detail);

export async function authenticateNode(
  services: Services,
  token: string,
): Promise<Extract<Actor, { kind: "node" }>> {
  const read = readNodeToken(token);
  if (!read.ok) throw refuse(read.error);
  const { claims } = read.value;
  const node = claims.iss;
  const { nodeKeys, callRates, usedTokens, metrics } = services;
  const waitMs = callRates.waitMs(node, services.clock());
  if (waitMs > 0) {
    metrics.nodeRefusals.inc({ because: "rate" });
    throw new Refusal("rate-limited", "this node calls too often", {
      retryAfterS: Math.ceil(waitMs / 1_000),
    });
  }
  const keys = await nodeKeys.of(node);
  const nowMs = services.clock();
  let refuted: string | null = `node ${node} is not enrolled, quarantined or retired`;
  let key = "";
  for (const publicKey of keys) {
    refuted = refuteNodeToken(read.value, { publicKey, nowMs });
    key = publicKey;
    if (refuted === null) break;
  }
  if (refuted !== null) throw refuse(refuted);
  callRates.count(node, nowMs);
  if (!(await usedTokens.use(claims, nowMs))) {
    metrics.nodeRefusals.inc({ because: "replay" });
    throw refuse("this node token was used before: each call needs its own");
  }
  return { kind: "node", node, key };
}
