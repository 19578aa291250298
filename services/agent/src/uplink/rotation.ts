/**
 * The node's key is changed by the node: the next key is made and kept, told under the old one, and put in its place
 * when the control plane says yes. If that answer is lost, or the agent dies before it acts on it, it is not known which
 * of the two holds; then both are tried, and either way ends with one.
 */
import { type KeyObject, sign } from "node:crypto";
import { keyRotationMessage } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";
import { backoffMs } from "./backoff.ts";
import { type ControlPlane, explain, type UplinkError } from "./control-plane.ts";
import { nextNodeKey, nodeKey, promoteNodeKey, rawPublicKey, type TokenSource } from "./identity.ts";

const KEY_CHECK_MS = 3_600_000;
/** A yes that was lost has let the old key in for 90 seconds only: the first two tries fall into them. */
const AGAIN = { firstMs: 25_000, mostMs: 60_000 };

/** `failures`: how often in a row the key could not be changed. A fleet that enrolled at once does not act at once. */
export const nextKeyCheckMs = (failures: number, random: number): number =>
  failures > 0 ? backoffMs(failures, random, AGAIN) : KEY_CHECK_MS * (0.5 + random);

/** The answer is the new public key. */
export async function rotateNodeKey(input: {
  stateDirectory: string;
  node: NodeId;
  tokens: Pick<TokenSource, "use">;
  controlPlane: Pick<ControlPlane, "rotateKey">;
}): Promise<Result<string, string>> {
  const { stateDirectory, node, tokens, controlPlane } = input;
  const [current, next] = [nodeKey(stateDirectory), nextNodeKey(stateDirectory)];
  const publicKey = rawPublicKey(next);
  const proof = sign(null, Buffer.from(keyRotationMessage(node, publicKey)), next).toString("base64url");
  let refused: UplinkError | null = null;
  // The new one second: it is the one that holds if an earlier yes was lost.
  for (const key of [current, next] satisfies KeyObject[]) {
    tokens.use(key);
    const answer = await controlPlane.rotateKey({ publicKey, proof });
    if (answer.ok) {
      promoteNodeKey(stateDirectory);
      tokens.use(next);
      return ok(publicKey);
    }
    refused ??= answer.error;
    if (answer.error.kind !== "refused" || answer.error.status !== 401) break;
  }
  tokens.use(current);
  return err(explain(refused!));
}
