import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { expect, test } from "vitest";
import { bundleDigest, releaseKey, signBundle, verifyBundle } from "./bundle.ts";
import { followTrust, signTrust, type Trust } from "./trust.ts";

const [a, b, c, d] = Array.from({ length: 4 }, () => generateKeyPairSync("ed25519").privateKey) as [
  KeyObject,
  KeyObject,
  KeyObject,
  KeyObject,
];
const trust = (version: number, threshold: number, ...keys: KeyObject[]): Trust => ({
  version,
  threshold,
  keys: keys.map(releaseKey),
});
const root = (version: number, threshold: number, keys: KeyObject[], over = {}) => ({
  format: 1 as const,
  version,
  threshold,
  keys: keys.map(releaseKey),
  createdAt: "2026-01-01T00:00:00.000Z",
  ...over,
});

test.each([
  ["one key follows another", trust(0, 1, a), root(1, 1, [b]), [a, b], null],
  [
    "two of three, signed by the one before and by two of them",
    trust(0, 1, a),
    root(1, 2, [b, c, d]),
    [a, b, d],
    null,
  ],
  ["two of three guard the next", trust(1, 2, a, b, c), root(2, 1, [d]), [a, c, d], null],
  ["a key that stays signs once", trust(1, 1, a), root(2, 1, [a, b]), [a], null],
  ["new keys alone", trust(0, 1, a), root(1, 1, [b]), [b], /by the keys of root 0: signed by/],
  ["old keys alone", trust(0, 1, a), root(1, 1, [b]), [a], /by its own keys/],
  ["one of two that are needed", trust(1, 2, a, b, c), root(2, 1, [d]), [a, d], /1 of the 2 signatures/],
  ["one key twice", trust(1, 2, a, b, c), root(2, 1, [d]), [a, a, d], /1 of the 2 signatures/],
  ["fewer of its own than it asks", trust(0, 1, a), root(1, 2, [b, c]), [a, b], /by its own keys/],
  ["a root that skips one", trust(0, 1, a), root(2, 1, [a]), [a], /does not follow/],
  ["an old root again", trust(2, 1, a), root(2, 1, [a]), [a], /does not follow/],
  ["more signatures than keys", trust(0, 1, a), root(1, 3, [a, b]), [a, b], /cannot be had/],
  [
    "a key under another's id",
    trust(0, 1, a),
    root(1, 1, [a], { keys: [{ ...releaseKey(a), keyid: "0".repeat(16) }] }),
    [a],
    /the key id of/,
  ],
  [
    "a key named twice",
    trust(0, 1, a),
    root(1, 2, [a], { keys: [releaseKey(a), releaseKey(a)] }),
    [a],
    /twice/,
  ],
])("%s", (_, before, next, signers, refused) => {
  const result = followTrust(signTrust(next, signers), before);
  if (refused === null)
    expect(result).toEqual({
      ok: true,
      value: { version: next.version, threshold: next.threshold, keys: next.keys },
    });
  else expect(result).toMatchObject({ ok: false, error: expect.stringMatching(refused) });
});

test("what was signed as a bundle is never a root, and the other way round", () => {
  const bytes = Buffer.from(JSON.stringify(root(1, 1, [a])));
  expect(followTrust(signBundle(bytes, [a]), trust(0, 1, a)).ok).toBe(false);
  const relabelled = { ...signBundle(bytes, [a]), payloadType: "application/vnd.picket.trust.v1+json" };
  expect(followTrust(relabelled, trust(0, 1, a))).toMatchObject({
    error: expect.stringContaining("does not match"),
  });
});

test("a bundle needs as many keys as the root says", () => {
  const bytes = Buffer.from(
    JSON.stringify({
      format: 1,
      ruleSet: "shop",
      version: 1,
      ruleText: "",
      objects: { slot: "0".repeat(64) },
      abi: 1,
      kernelMin: "6.1",
      floor: 0,
      createdAt: "2026-01-01T00:00:00.000Z",
      expiresAt: "2036-01-01T00:00:00.000Z",
    }),
  );
  const verify = (...signers: KeyObject[]) =>
    verifyBundle(signBundle(bytes, signers), {
      ...trust(1, 2, a, b, c),
      floorOf: () => 0,
      nowMs: 0,
      abi: null,
      installing: true,
    });
  expect(verify(a, c)).toMatchObject({ ok: true, value: { digest: bundleDigest(bytes) } });
  expect(verify(a)).toMatchObject({ error: { code: "too-few-signatures" } });
  expect(verify(a, a, d)).toMatchObject({ error: { code: "too-few-signatures" } });
  expect(verify(d)).toMatchObject({ error: { code: "foreign-key" } });
});
