import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { type Bundle, releaseKey, signBundle, verifyBundle } from "./bundle.ts";

const release = generateKeyPairSync("ed25519").privateKey;
const foreign = generateKeyPairSync("ed25519").privateKey;
const NOW_MS = Date.parse("2026-06-01T00:00:00Z");

const bundle = (change: Partial<Record<keyof Bundle, unknown>> = {}) => ({
  format: 1,
  ruleSet: "shop",
  version: 5,
  ruleText: "apiVersion: picket/v1",
  objects: { slot: "a".repeat(64) },
  abi: 1,
  kernelMin: "6.1",
  floor: 3,
  createdAt: "2026-05-01T00:00:00Z",
  expiresAt: "2026-07-01T00:00:00Z",
  ...change,
});
const bytes = (content: unknown) => Buffer.from(JSON.stringify(content));
const trust = {
  keys: [releaseKey(release)],
  threshold: 1,
  floorOf: () => 3,
  nowMs: NOW_MS,
  abi: 1,
  installing: true,
};
const signed = (change = {}, key = release) => signBundle(bytes(bundle(change)), [key]);

test("a bundle signed by a pinned release key is accepted with the digest of its exact bytes", () => {
  const result = verifyBundle(signed(), trust);
  expect(result).toMatchObject({ ok: true, value: { bundle: { ruleSet: "shop", version: 5 } } });
});

const refused: [name: string, envelope: unknown, code: string][] = [
  ["is not an envelope", { hello: "world" }, "malformed"],
  ["has no signature", { ...signed(), signatures: [] }, "unsigned"],
  ["is signed by a key that is not pinned", signed({}, foreign), "foreign-key"],
  [
    "had its bytes changed",
    { ...signed(), payload: bytes(bundle({ version: 6 })).toString("base64") },
    "tampered",
  ],
  [
    "claims a pinned key id over a foreign signature",
    {
      ...signed({}, foreign),
      signatures: [{ ...signed({}, foreign).signatures[0]!, keyid: releaseKey(release).keyid }],
    },
    "tampered",
  ],
  ["is signed but not JSON", signBundle(Buffer.from("rm -rf /"), [release]), "malformed"],
  ["has a field that is not known", signed({ surprise: true }), "malformed"],
  ["is for another ABI", signed({ abi: 2 }), "wrong-abi"],
  ["is below the floor", signed({ version: 2 }), "below-floor"],
  ["has expired", signed({ expiresAt: "2026-05-31T23:59:59Z" }), "expired"],
];
for (const [name, envelope, code] of refused)
  test(`a bundle that ${name} is refused as ${code}`, () => {
    expect(verifyBundle(envelope, trust)).toMatchObject({ ok: false, error: { code } });
  });

test("expiry and floor do not end the enforcement of what is installed", () => {
  const lastGood = signed({ version: 2, expiresAt: "2026-05-02T00:00:00Z" });
  expect(verifyBundle(lastGood, { ...trust, installing: false }).ok).toBe(true);
});

test("one valid signature among foreign ones is enough", () => {
  expect(verifyBundle(signBundle(bytes(bundle()), [foreign, release]), trust).ok).toBe(true);
});
