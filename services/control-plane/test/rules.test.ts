/** What becomes of a bundle that is pushed. */
import { createHash, generateKeyPairSync } from "node:crypto";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle, type Fleet, ruleText, SLOT, type Stores, sha256, startFleet, startStores } from "./fleet.ts";

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

const push = (name: string, envelope: unknown) =>
  fleet.admin.fetch("POST", `/v1/rule-sets/${name}/versions`, envelope);
const refused = (name: string, envelope: unknown) =>
  fleet.admin.refusal("POST", `/v1/rule-sets/${name}/versions`, envelope);
const signed = (payload: Buffer) => signBundle(payload, [fleet.releaseKey]);

test("the same bytes again are welcome, other bytes under the number are not", async () => {
  const envelope = signed(bundle("same", 1));
  expect((await push("same", envelope)).status).toBe(201);
  const again = await push("same", envelope);
  expect(again.status).toBe(200);
  expect(await again.json()).toMatchObject({ ruleSet: "same", version: 1 });
  expect(await refused("same", signed(bundle("same", 1, { floor: 1 })))).toMatchObject({
    status: 409,
    code: "version-taken",
  });
  const { items } = await fleet.admin.call<{ items: unknown[] }>("GET", "/v1/rule-sets/same/versions");
  expect(items).toHaveLength(1);
});

test("of ten pushes of one version at once one is stored, and the others are told the same", async () => {
  const envelope = signed(bundle("race", 1));
  const answers = await Promise.all(Array.from({ length: 10 }, () => push("race", envelope)));
  expect(answers.map(({ status }) => status).every(status => status === 200 || status === 201)).toBe(true);
});

test("of people who sign the same version at once nobody's signature is lost", async () => {
  const others = [1, 2, 3, 4].map(() => generateKeyPairSync("ed25519").privateKey);
  for (const key of others) await fleet.admin.call("POST", "/v1/release-keys", releaseKey(key));
  expect((await push("together", signed(bundle("together", 1)))).status).toBe(201);
  await Promise.all(others.map(key => push("together", signBundle(bundle("together", 1), [key]))));
  const { signedBy } = await fleet.admin.call<{ signedBy: string[] }>(
    "GET",
    "/v1/rule-sets/together/versions/1",
  );
  expect(new Set(signedBy)).toEqual(new Set([fleet.releaseKey, ...others].map(key => releaseKey(key).keyid)));
});

test("a bundle by a key that is not registered is refused", async () => {
  const foreign = generateKeyPairSync("ed25519").privateKey;
  expect(await refused("foreign", signBundle(bundle("foreign", 1), [foreign]))).toMatchObject({
    status: 422,
    code: "bundle-refused",
    detail: expect.stringContaining("foreign-key"),
  });
});

test("a key id that is borrowed proves nothing", async () => {
  const foreign = generateKeyPairSync("ed25519").privateKey;
  const envelope = signBundle(bundle("borrowed", 1), [foreign]);
  envelope.signatures[0]!.keyid = releaseKey(fleet.releaseKey).keyid;
  expect(await refused("borrowed", envelope)).toMatchObject({ detail: expect.stringContaining("tampered") });
});

test("signers are those whose signature holds, not those who are named", async () => {
  const other = generateKeyPairSync("ed25519").privateKey;
  await fleet.admin.call("POST", "/v1/release-keys", releaseKey(other));
  const envelope = signed(bundle("signers", 1));
  envelope.signatures.push({ keyid: releaseKey(other).keyid, sig: Buffer.alloc(64).toString("base64") });
  expect(await (await push("signers", envelope)).json()).toMatchObject({
    signedBy: [releaseKey(fleet.releaseKey).keyid],
  });
});

test.each([
  [
    "changed after signing",
    (e: ReturnType<typeof signed>) => ({
      ...e,
      payload: Buffer.from(`${Buffer.from(e.payload, "base64")} `).toString("base64"),
    }),
    "tampered",
  ],
  ["without a signature", (e: ReturnType<typeof signed>) => ({ ...e, signatures: [] }), "signatures"],
])("a bundle %s is refused", async (_, change, why) => {
  expect(await refused("changed", change(signed(bundle("changed", 1))))).toMatchObject({
    status: 422,
    detail: expect.stringContaining(why),
  });
});

test("an expired bundle, one below the floor and one of another rule set are refused", async () => {
  expect(
    await refused("old", signed(bundle("old", 1, { expiresAt: "2020-01-01T00:00:00.000Z" }))),
  ).toMatchObject({
    detail: expect.stringContaining("expired"),
  });
  await fleet.push("floor", 5, { floor: 4 });
  expect(await refused("floor", signed(bundle("floor", 3)))).toMatchObject({
    detail: expect.stringContaining("below-floor"),
  });
  expect(await refused("mine", signed(bundle("theirs", 1, { ruleText: ruleText("theirs") })))).toMatchObject({
    detail: expect.stringContaining("theirs"),
  });
});

test("a rule text that is wrong says line and column", async () => {
  const text = `${ruleText("wrong")}  rules:\n    - id: a\n      title: A\n      severity: awful\n`;
  const refusal = await refused("wrong", signed(bundle("wrong", 1, { ruleText: text })));
  expect(refusal).toMatchObject({ status: 422, code: "rule-text-invalid" });
  expect(refusal.detail).toMatch(/line 12, column \d+: .*severity/);
});

test("an object is stored under the digest of its bytes only", async () => {
  const put = (digest: string, bytes: Buffer) =>
    fetch(`${fleet.url}/v1/objects/${digest}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${fleet.admin.token}`, "content-type": "application/octet-stream" },
      body: new Uint8Array(bytes),
    });
  expect(await (await put(sha256(SLOT), Buffer.from("other"))).json()).toMatchObject({
    code: "digest-mismatch",
  });
  expect((await put(sha256(SLOT), SLOT)).status).toBe(200);
  expect((await put(sha256(SLOT), SLOT)).status).toBe(200);
  expect((await put("f".repeat(64), Buffer.alloc((8 << 20) + 1))).status).toBe(413);
});

test("a node gets bundle and object by digest: cacheable for ever, resumable, and exactly what was signed", async () => {
  await fleet.push("fetch", 1);
  const node = await fleet.join("fetcher", { test: "fetch" });
  await fleet.start("fetch", 1, [{ percent: 100 }], { test: "fetch" });
  const [assignment] = await node.desired();
  const path = `/v1/agent/bundles/${assignment!.bundle}`;
  const first = await node.client.fetch("GET", path);
  expect(first.headers.get("cache-control")).toContain("immutable");
  const envelope = (await first.json()) as { payload: string };
  expect(createHash("sha256").update(Buffer.from(envelope.payload, "base64")).digest("hex")).toBe(
    assignment!.bundle,
  );
  const again = await node.client.fetch("GET", path, undefined, {
    "if-none-match": first.headers.get("etag")!,
  });
  expect(again.status).toBe(304);

  const object = `/v1/agent/objects/${sha256(SLOT)}`;
  expect(Buffer.from(await (await node.client.fetch("GET", object)).arrayBuffer())).toEqual(SLOT);
  const part = await node.client.fetch("GET", object, undefined, { range: "bytes=4-" });
  expect([part.status, await part.text()]).toEqual([206, SLOT.subarray(4).toString()]);
  expect((await node.client.fetch("GET", object, undefined, { range: "bytes=99-" })).status).toBe(416);
  expect((await node.client.fetch("GET", `/v1/agent/objects/${"f".repeat(64)}`)).status).toBe(404);
});

test("nodes pin the keys that were registered when they enrolled", async () => {
  const node = await fleet.join("pinner");
  expect(node.releaseKeys).toContainEqual(releaseKey(fleet.releaseKey));
});

test("a key id that is not its key's is refused", async () => {
  const key = releaseKey(generateKeyPairSync("ed25519").privateKey);
  expect(
    await fleet.admin.refusal("POST", "/v1/release-keys", { ...key, keyid: "0".repeat(16) }),
  ).toMatchObject({
    status: 422,
  });
});
