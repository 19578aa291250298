/** Release keys change by roots that the keys before have signed; versions need as many signatures as the root says. */
import { generateKeyPairSync } from "node:crypto";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import { TrustChain } from "@picket/shared/contract";
import { followTrust, signTrust, type Trust } from "@picket/shared/trust";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle, type Fleet, type Stores, startFleet, startStores } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores);
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const [b, c, thief] = Array.from({ length: 3 }, () => generateKeyPairSync("ed25519").privateKey) as [
  ReturnType<typeof generateKeyPairSync>["privateKey"],
  ReturnType<typeof generateKeyPairSync>["privateKey"],
  ReturnType<typeof generateKeyPairSync>["privateKey"],
];
const root = (version: number, threshold: number, keys: (typeof b)[]) => ({
  format: 1 as const,
  version,
  threshold,
  keys: keys.map(releaseKey),
  createdAt: "2026-01-01T00:00:00.000Z",
});
const push = (name: string, version: number, keys: (typeof b)[]) =>
  fleet.admin.fetch("POST", `/v1/rule-sets/${name}/versions`, signBundle(bundle(name, version), keys));

test("the keys of a fleet change with the word of those before, and two of two sign from then on", async () => {
  const a = fleet.releaseKey;
  const node = await fleet.join("follows");
  await fleet.push("trust", 1);
  expect(await node.client.call("GET", "/v1/agent/desired")).not.toHaveProperty("trust");
  for (const [signers, why] of [
    [[thief], /by the keys of root 0/],
    [[b, c], /by the keys of root 0/],
    [[a, b], /by its own keys: 1 of the 2/],
  ] as const)
    expect(
      await fleet.admin.refusal("POST", "/v1/trust", signTrust(root(1, 2, [b, c]), signers)),
    ).toMatchObject({
      status: 422,
      detail: expect.stringMatching(why),
    });

  await fleet.admin.call("POST", "/v1/trust", signTrust(root(1, 2, [b, c]), [a, b, c]));
  expect(await fleet.admin.call("GET", "/v1/trust")).toMatchObject({ version: 1, threshold: 2 });
  expect(await node.client.call("GET", "/v1/agent/desired")).toMatchObject({ trust: 1 });
  // What a node is given is enough to follow from what it pinned, and nothing else is.
  const chain = TrustChain.parse(await node.client.call("GET", "/v1/agent/trust?after=0"));
  const pinned: Trust = { version: 0, threshold: 1, keys: node.releaseKeys };
  expect(followTrust(chain.items[0], pinned)).toMatchObject({ ok: true, value: { version: 1 } });

  // Registered keys no longer count, nor does one signature.
  expect(await fleet.admin.refusal("POST", "/v1/release-keys", releaseKey(thief))).toMatchObject({
    status: 409,
  });
  for (const signers of [[a], [b], [b, b], [b, thief]])
    expect((await push("trust", 2, signers)).status, `${signers.length}`).toBe(422);
  expect((await push("trust", 2, [b, c])).status).toBe(201);

  // A node that enrols now pins the new keys.
  const later = await fleet.join("later");
  expect(later.releaseKeys.map(({ keyid }) => keyid).sort()).toEqual(
    [b, c].map(key => releaseKey(key).keyid).sort(),
  );
});

test("a version of before is signed anew: the same bytes, more signatures", async () => {
  const answer = await push("trust", 1, [b, c]);
  expect(answer.status).toBe(200);
  const row = (await answer.json()) as { signedBy: string[] };
  expect(row.signedBy).toEqual([fleet.releaseKey, b, c].map(key => releaseKey(key).keyid));
  const details = await fleet.admin.call<{ envelope: { signatures: unknown[] } }>(
    "GET",
    "/v1/rule-sets/trust/versions/1",
  );
  expect(details.envelope.signatures).toHaveLength(3);
  const { items } = await fleet.admin.call<{ items: { verb: string; subject: string }[] }>(
    "GET",
    "/v1/audit",
  );
  expect(items).toContainEqual(expect.objectContaining({ verb: "countersign", subject: "rule-set:trust/1" }));
  expect(items).toContainEqual(expect.objectContaining({ verb: "publish-trust", subject: "trust:1" }));
});

test("a root is published once, and the next one needs two signatures of this one", async () => {
  const next = root(2, 1, [c]);
  expect(await fleet.admin.refusal("POST", "/v1/trust", signTrust(next, [c]))).toMatchObject({
    status: 422,
    detail: expect.stringMatching(/1 of the 2/),
  });
  const two = await Promise.all(
    Array.from({ length: 4 }, () => fleet.admin.fetch("POST", "/v1/trust", signTrust(next, [b, c]))),
  );
  expect(two.map(({ status }) => status).sort()).toEqual([201, 422, 422, 422]);
});
