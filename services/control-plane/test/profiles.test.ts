/** Profiles: offered by nodes, compared with what is in force, signed outside, and read by nodes of the same workload. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import type { ProfileOfferDetails, ProfileOfferRow, SignedProfileRow } from "@picket/shared/api";
import type { SignedProfileList, TemplateExport } from "@picket/shared/profile";
import { signedProfileDigest, signProfile } from "@picket/shared/signed-profile";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type SimulatedNode, type Stores, startFleet, startStores } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let node: SimulatedNode;
let other: SimulatedNode;
let aheadMs = 0;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, {}, { clock: () => Date.now() + aheadMs });
  node = await fleet.join("db-1");
  other = await fleet.join("db-2");
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const template = (words: string): TemplateExport => ({
  dialect: "mysql",
  words: words.replaceAll(" ", "\n"),
  shapes: [],
  rules: [],
  count: 5,
  firstSeenMs: 0,
  lastSeenMs: 0,
  processes: 1,
  values: [],
});
const profile = (workload: string, statements: string[]) => ({
  kind: "picket-profile-1" as const,
  workload,
  databaseUser: "app",
  database: "orders",
  mode: "learn" as const,
  locked: false,
  templates: statements.map(template),
});
const offer = (from: SimulatedNode, workload: string, statements: string[]) =>
  from.client.call("POST", "/v1/agent/profiles", { learning: true, profile: profile(workload, statements) });
type Offers = { items: ProfileOfferRow[]; nextCursor: string | null };
const listed = (query = "") => fleet.admin.call<Offers>("GET", `/v1/profiles/offers?${query}`);
const offers = async (workload: string) => (await listed(`workload=${workload}`)).items;
const signed = (
  workload: string,
  version: number,
  statements: string[],
  {
    key = fleet.releaseKey,
    expiresAt = "2036-01-01T00:00:00.000Z",
  }: { key?: KeyObject; expiresAt?: string } = {},
) =>
  signProfile(
    {
      format: 1,
      version,
      profile: profile(workload, statements),
      removed: [],
      createdAt: "2026-01-01T00:00:00.000Z",
      expiresAt,
    },
    key,
  );
const push = (envelope: object) => fleet.admin.call<SignedProfileRow>("POST", "/v1/profiles", envelope);
const read = (workloads: string[]) =>
  node.client.call<SignedProfileList>(
    "GET",
    `/v1/agent/profiles?workloads=${encodeURIComponent(JSON.stringify(workloads))}`,
  );

test("of each node the newest offer is kept, and compared with the signed profile in force", async () => {
  await offer(node, "shop", ["select a"]);
  await offer(node, "shop", ["select a", "select b"]);
  await offer(other, "shop", ["select c"]);
  expect((await offers("shop")).map(({ hostname, templates }) => [hostname, templates])).toEqual([
    ["db-1", 2],
    ["db-2", 1],
  ]);
  await push(signed("shop", 1, ["select a", "select old"]));
  const [first] = await offers("shop");
  const details = await fleet.admin.call<ProfileOfferDetails>("GET", `/v1/profiles/offers/${first!.id}`);
  expect(details).toMatchObject({ inForce: 1, added: [1] });
  expect(details.missing.map(({ words }) => words)).toEqual(["select\nold"]);
});

test("a fleet's list shows the fullest offer of each workload and how many nodes have one, page by page; not of nodes that are gone", async () => {
  const third = await fleet.join("db-3");
  await offer(node, "wide", ["select a"]);
  await offer(other, "wide", ["select a", "select b"]);
  await offer(third, "wide", ["select a", "select b", "select c"]);
  const wide = async () => (await listed("limit=500")).items.filter(({ workload }) => workload === "wide");
  expect(await wide()).toMatchObject([{ hostname: "db-3", templates: 3, nodes: 3 }]);
  await fleet.admin.call("DELETE", `/v1/nodes/${third.id}`);
  expect(await wide()).toMatchObject([{ hostname: "db-2", templates: 2, nodes: 2 }]);

  const whole = (await listed("limit=500")).items.map(({ id }) => id);
  const paged: string[] = [];
  for (let cursor: string | null = "0"; cursor !== null; ) {
    const { items, nextCursor }: Offers = await listed(`limit=1&cursor=${cursor}`);
    paged.push(...items.map(({ id }) => id));
    cursor = nextCursor;
  }
  expect(paged).toEqual(whole);
  expect(whole.length).toBeGreaterThan(1);
});

test("an offer of the same words with a further shape or waived rule shows as changed", async () => {
  const say = (change: Partial<TemplateExport>) => ({
    ...profile("altered", []),
    templates: [template("select a"), { ...template("select b"), ...change }],
  });
  await push(signed("altered", 1, ["select a", "select b"]));
  for (const [change, changed] of [
    [{ count: 99, lastSeenMs: 7 }, []],
    [{ rules: ["union-graft"] }, [1]],
    [{ shapes: ["a".repeat(64)] }, [1]],
  ] as const) {
    await node.client.call("POST", "/v1/agent/profiles", {
      learning: true,
      profile: say(change as Partial<TemplateExport>),
    });
    const [row] = await offers("altered");
    expect(await fleet.admin.call("GET", `/v1/profiles/offers/${row!.id}`)).toMatchObject({
      added: [],
      changed,
      missing: [],
    });
  }
});

test("a node reads the newest of the workloads that it names, until it expires, and by digest what was signed", async () => {
  await push(signed("pay", 1, ["select a"]));
  const newest = signed("pay", 2, ["select b"]);
  await push(newest);
  const brief = signed("brief", 1, ["select a"], { expiresAt: new Date(Date.now() + 15_000).toISOString() });
  await push(brief);
  aheadMs = 20_000;
  const { items } = await read(["pay", "brief", "no such"]).finally(() => {
    aheadMs = 0;
  });
  expect(items).toEqual([
    {
      workload: "pay",
      databaseUser: "app",
      database: "orders",
      version: 2,
      digest: signedProfileDigest(newest),
    },
  ]);
  expect(await node.client.call("GET", `/v1/agent/profiles/${items[0]!.digest}`)).toEqual(newest);
  expect(await read([])).toEqual({ items: [] });
  expect(await node.client.refusal("GET", "/v1/agent/profiles?workloads=shop")).toMatchObject({
    code: "invalid",
  });
});

test("what no registered release key signed, and a version that is not newer, is refused", async () => {
  const foreign = signed("shop", 9, ["select a"], { key: generateKeyPairSync("ed25519").privateKey });
  expect(await fleet.admin.refusal("POST", "/v1/profiles", foreign)).toMatchObject({
    code: "bundle-refused",
  });
  await push(signed("twice", 3, ["select a"]));
  for (const version of [2, 3])
    expect(
      await fleet.admin.refusal("POST", "/v1/profiles", signed("twice", version, ["select x"])),
    ).toMatchObject({
      code: "version-taken",
    });
  const { items } = await fleet.admin.call<{ items: { verb: string; subject: string }[] }>(
    "GET",
    "/v1/audit?limit=5",
  );
  expect(items).toContainEqual(
    expect.objectContaining({ verb: "push", subject: "profile:twice/app/orders/3" }),
  );
});

test("a node has as many offers as an agent keeps profiles, and no more", async () => {
  for (let i = 0; i < 256; i++) await offer(other, `many-${i}`, ["select a"]).catch(() => undefined);
  expect(
    await other.client.refusal("POST", "/v1/agent/profiles", {
      learning: true,
      profile: profile("one more", ["select a"]),
    }),
  ).toMatchObject({ code: "invalid" });
  // What it has offered may change.
  await offer(other, "shop", ["select a", "select b"]);
});
