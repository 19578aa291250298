/** Signs and verifies shared verdicts. Time is an argument: nothing here reads a clock. */
import type { KeyObject } from "node:crypto";
import type { Delegation } from "./bundle-format.ts";
import { readPayload, signPayload, verifyPayload } from "./dsse.ts";
import {
  type DisbeliefCode,
  SHARED_VERDICT_PAYLOAD_TYPE,
  SharedVerdict,
  SharedVerdictEnvelope,
} from "./immunity.ts";
import { err, ok, type Result } from "./result.ts";
import { durationMs } from "./vocabulary.ts";

export const signSharedVerdict = (verdict: SharedVerdict, key: KeyObject): SharedVerdictEnvelope =>
  signPayload(SHARED_VERDICT_PAYLOAD_TYPE, Buffer.from(JSON.stringify(verdict)), [key]);

/** Signature first, by a delegation that holds now; only then the content, and whether it keeps the delegation's bounds. */
export function verifySharedVerdict(
  envelope: unknown,
  { delegations, nowMs }: { delegations: readonly Delegation[]; nowMs: number },
): Result<{ verdict: SharedVerdict; delegation: Delegation }, DisbeliefCode> {
  const signed = verifyPayload(envelope, SharedVerdictEnvelope, newestOfEachKey(delegations));
  if (!signed.ok) return err(signed.error.code);
  const { payload, key: delegation } = signed.value;
  if (Date.parse(delegation.expiresAt) <= nowMs) return err("delegation-expired");
  const verdict = readPayload(payload, SharedVerdict);
  if (!verdict.ok) return err(verdict.error.code);
  if (verdict.value.kind === "deny") {
    const { issuedAt, expiresAt } = verdict.value;
    if (Date.parse(expiresAt) <= nowMs) return err("expired");
    if (Date.parse(expiresAt) - Date.parse(issuedAt) > durationMs(delegation.caps.ttl))
      return err("ttl-above-cap");
  }
  return ok({ verdict: verdict.value, delegation });
}

/** Two rule sets may delegate to one key: the one that lasts longer says for how long. */
export function newestOfEachKey(delegations: readonly Delegation[]): Delegation[] {
  const sorted = delegations.toSorted((a, b) => Date.parse(a.expiresAt) - Date.parse(b.expiresAt));
  return [...new Map(sorted.map(each => [each.keyid, each])).values()];
}
