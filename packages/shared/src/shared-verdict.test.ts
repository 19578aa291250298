import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { expect, test } from "vitest";
import { signBundle } from "./bundle.ts";
import type { Delegation } from "./bundle-format.ts";
import { publicKeyOf, signPayload } from "./dsse.ts";
import type { SharedVerdict } from "./immunity.ts";
import { signSharedVerdict, verifySharedVerdict } from "./shared-verdict.ts";

const NOW = Date.parse("2026-11-01T12:00:00Z");
const at = (minutes: number) => new Date(NOW + minutes * 60_000).toISOString();
const online = generateKeyPairSync("ed25519").privateKey;
const other = generateKeyPairSync("ed25519").privateKey;
const delegation = (key: KeyObject, expiresAt = at(60)): Delegation => ({
  ...publicKeyOf(key),
  expiresAt,
  caps: { inForce: 10, inForcePerNode: 2, perHour: 5, ttl: "1h" },
});
const denial = (change: object = {}): SharedVerdict => ({
  format: 1,
  kind: "deny",
  id: "00000000-0000-4000-8000-000000000001" as never,
  sequence: 1,
  issuedAt: at(-1),
  expiresAt: at(30),
  shape: "a".repeat(64) as never,
  dialect: "mysql",
  text: "select ? union select ?",
  rule: "union-graft",
  source: "00000000-0000-4000-8000-000000000002" as never,
  ...change,
});
const signed = signSharedVerdict(denial(), online);
const changed = {
  ...signed,
  payload: Buffer.from(JSON.stringify(denial({ rule: "another" }))).toString("base64"),
};
const verify = (envelope: unknown, delegations: Delegation[] = [delegation(online)], nowMs = NOW) => {
  const verified = verifySharedVerdict(envelope, { delegations, nowMs });
  return verified.ok ? verified.value.verdict.kind : verified.error;
};

test.each([
  ["a denial of the delegated key holds", "deny", signed],
  [
    "so does a revocation",
    "revoke",
    signSharedVerdict(
      {
        format: 1,
        kind: "revoke",
        id: "00000000-0000-4000-8000-000000000001" as never,
        sequence: 2,
        issuedAt: at(0),
        shape: "a".repeat(64) as never,
      },
      online,
    ),
  ],
  ["another key's does not", "foreign-key", signSharedVerdict(denial(), other)],
  ["nor what was changed since", "tampered", changed],
  ["nor what nobody signed", "unsigned", { ...signed, signatures: [] }],
  ["nor what is no envelope", "malformed", { hello: "world" }],
  ["nor what is over", "expired", signSharedVerdict(denial({ expiresAt: at(0) }), online)],
  [
    "nor what holds longer than the delegation lets it",
    "ttl-above-cap",
    signSharedVerdict(denial({ expiresAt: at(60) }), online),
  ],
  [
    "nor an allowance, which no signature makes valid",
    "malformed",
    signPayload(
      "application/vnd.picket.shared-verdict.v1+json",
      Buffer.from(JSON.stringify({ ...denial(), kind: "allow" })),
      [online],
    ),
  ],
  [
    "nor a bundle, which is another type of payload",
    "malformed",
    signBundle(Buffer.from(JSON.stringify(denial())), [online]),
  ],
])("%s", (_what, outcome, envelope) => {
  expect(verify(envelope)).toBe(outcome);
});

test("a delegation that is over ends all that its key signed, unless another rule set delegates to it for longer", () => {
  expect(verify(signed, [delegation(online, at(0))])).toBe("delegation-expired");
  expect(verify(signed, [delegation(online, at(0)), delegation(online, at(9))])).toBe("deny");
  expect(verify(signed, [])).toBe("foreign-key");
});
