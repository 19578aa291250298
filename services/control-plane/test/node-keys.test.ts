/** A node changes its key: signed by the old one and by itself, with grace for what was under way. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { keyRotationMessage } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  Client,
  type Fleet,
  nodeToken,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  until,
} from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let other: Fleet;
let aheadMs = 0;
beforeAll(async () => {
  stores = await startStores();
  const clock = () => Date.now() + aheadMs;
  fleet = await startFleet(stores, {}, { clock });
  other = await startFleet(stores, {}, { clock });
});
afterAll(async () => {
  await other?.close();
  await fleet?.close();
  await stores?.stop();
});

const raw = (key: KeyObject) =>
  key.export({ type: "spki", format: "der" }).subarray(-32).toString("base64url");

function rotation(node: string, pair = generateKeyPairSync("ed25519")) {
  const publicKey = raw(pair.publicKey);
  const proof = sign(null, Buffer.from(keyRotationMessage(node as NodeId, publicKey)), pair.privateKey);
  return { key: pair.privateKey, body: { publicKey, proof: proof.toString("base64url") } };
}

/** A token of the clock that the control plane goes by. */
function by(node: SimulatedNode, key: KeyObject, url = fleet.url): Client {
  const iat = Math.floor((Date.now() + aheadMs) / 1_000);
  return new Client(url, nodeToken(key, node.id, { iat, exp: iat + 60 }));
}

test("the new key is let in at every process at once, the old one for as long as its tokens live", async () => {
  const node = await fleet.join("rotates");
  await by(node, node.key, other.url).call("GET", "/v1/agent/desired");
  const underWay = by(node, node.key, other.url);
  const { key, body } = rotation(node.id);
  await by(node, node.key).call("POST", "/v1/agent/key", body);
  await until(
    async () => (await by(node, key, other.url).fetch("GET", "/v1/agent/assignments?wait=0")).status,
    status => status === 204,
    "the other process knows the new key",
  );
  expect((await underWay.fetch("GET", "/v1/agent/desired")).status).toBe(200);
  // Its answer was lost: asked again, it is the same.
  await by(node, node.key).call("POST", "/v1/agent/key", body);
  await by(node, key).call("POST", "/v1/agent/key", body);
  aheadMs += 91_000;
  for (const url of [fleet.url, other.url]) {
    expect(await by(node, node.key, url).refusal("GET", "/v1/agent/desired")).toMatchObject({ status: 401 });
    expect((await by(node, key, url).fetch("GET", "/v1/agent/desired")).status).toBe(200);
  }
  const shown = await fleet.admin.call<{ keySince: string; enrolledAt: string }>(
    "GET",
    `/v1/nodes/${node.id}`,
  );
  expect(Date.parse(shown.keySince)).toBeGreaterThan(Date.parse(shown.enrolledAt));
  const { items } = await fleet.admin.call<{ items: { verb: string; actor: string }[] }>("GET", "/v1/audit");
  expect(items.filter(({ verb }) => verb === "rotate-key")).toEqual([
    expect.objectContaining({ actor: `node:${node.id}` }),
  ]);
});

test("the key that was given up cannot take the node back in its grace", async () => {
  const node = await fleet.join("taken-back");
  await by(node, node.key).call("POST", "/v1/agent/key", rotation(node.id).body);
  expect(await by(node, node.key).refusal("POST", "/v1/agent/key", rotation(node.id).body)).toMatchObject({
    status: 409,
    code: "key-taken",
  });
});

test("a key that has not signed for this node, or is another node's, is refused", async () => {
  const [node, neighbour] = [await fleet.join("one"), await fleet.join("two")];
  const foreign = rotation(neighbour.id).body;
  expect(await by(node, node.key).refusal("POST", "/v1/agent/key", foreign)).toMatchObject({ status: 422 });
  const { key, body } = rotation(neighbour.id);
  await by(neighbour, neighbour.key).call("POST", "/v1/agent/key", body);
  const publicKey = body.publicKey;
  const proof = sign(null, Buffer.from(keyRotationMessage(node.id as NodeId, publicKey)), key);
  expect(
    await by(node, node.key).refusal("POST", "/v1/agent/key", {
      publicKey,
      proof: proof.toString("base64url"),
    }),
  ).toMatchObject({ status: 409, code: "key-taken" });
});

test("a node in quarantine cannot change its key", async () => {
  const node = await fleet.join("quarantined");
  await fleet.admin.call("POST", `/v1/nodes/${node.id}/quarantine`, { reason: "stolen" });
  expect(await by(node, node.key).refusal("POST", "/v1/agent/key", rotation(node.id).body)).toMatchObject({
    status: 401,
  });
});
