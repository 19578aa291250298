/** What nodes claim is judged again before the online key says it to all, within the delegation's bounds; and it can be
 * taken back. */
import { createHash, generateKeyPairSync, randomUUID } from "node:crypto";
import type { ImmunityStatus, SharedVerdictRow } from "@picket/shared/api";
import type { Delegation } from "@picket/shared/bundle-format";
import { publicKeyOf } from "@picket/shared/dsse";
import type { ClaimBatchResponse, SharedVerdict, SharedVerdictFeed } from "@picket/shared/immunity";
import { SHAPE_ALGORITHM } from "@picket/shared/shape";
import { verifySharedVerdict } from "@picket/shared/shared-verdict";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  ask,
  type Fleet,
  ruleText,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  until,
} from "./fleet.ts";

const online = generateKeyPairSync("ed25519").privateKey;
const delegation = (change: Partial<Delegation["caps"]> = {}, expiresInMs = 3_600_000): Delegation => ({
  ...publicKeyOf(online),
  expiresAt: new Date(Date.now() + expiresInMs).toISOString(),
  caps: { inForce: 100, inForcePerNode: 10, perHour: 50, ttl: "1h", ...change },
});
const RULES = ruleText("shop").replace(
  "spec:\n",
  `spec:
  core: true
  shapes:
    - { id: fine, action: allow, dialects: [mysql], sql: "SELECT allowed FROM t WHERE id = 1 UNION SELECT secret FROM vault -- " }
`,
);

let stores: Stores;
let fleet: Fleet;
let nodes: SimulatedNode[];
let version = 0;
beforeAll(async () => {
  stores = await startStores();
});
beforeEach(async () => {
  fleet = await startFleet(stores, { sharingKey: online });
  nodes = await Promise.all(["a", "b", "c"].map(name => fleet.join(name)));
});
afterEach(async () => {
  await fleet.admin.call("POST", "/v1/immunity/stop", { reason: "the test is over" });
  await fleet.admin.call("DELETE", "/v1/immunity/stop");
  await fleet.close();
});
afterAll(() => stores?.stop());

const delegate = async (by: Delegation | undefined = delegation()) => {
  version += 1;
  await fleet.push("shop", version, { ruleText: RULES, delegation: by });
};
/** The shape's text of a UNION that the core rules block. */
const hostile = (column: string) =>
  `select ${column} from t where id = ? union select secret from vault /*--*/`;
const claim = (text: string, change: object = {}) => ({
  shape: createHash("sha256").update(`${SHAPE_ALGORITHM}\nmysql\n${text}`).digest("hex"),
  dialect: "mysql",
  text,
  rule: "union-graft",
  ruleSet: "shop",
  version,
  judgedAt: new Date().toISOString(),
  ...change,
});
const say = (from: SimulatedNode, ...claims: object[]) =>
  from.client.call<ClaimBatchResponse>("POST", "/v1/agent/claims", { claims });
const feed = (after = 0) =>
  nodes[0]!.client.call<SharedVerdictFeed>("GET", `/v1/agent/verdicts?after=${after}`);
const listed = async (state = "") =>
  (
    await fleet.admin.call<{ items: SharedVerdictRow[] }>(
      "GET",
      `/v1/immunity/verdicts${state && `?state=${state}`}`,
    )
  ).items;
const becomes = (text: string, state: SharedVerdictRow["state"]) =>
  until(
    async () => (await listed()).find(row => row.text === text),
    row => row?.state === state,
    `${text}: ${state}`,
  ) as Promise<SharedVerdictRow>;
const read = ({ items }: SharedVerdictFeed, by = delegation()): SharedVerdict[] =>
  items.map(envelope => {
    const verified = verifySharedVerdict(envelope, { delegations: [by], nowMs: Date.now() });
    if (!verified.ok) throw new Error(verified.error);
    return verified.value.verdict;
  });

test("a claim that holds when it is judged again is signed with the key that the bundle names, and a poll ends for it", async () => {
  await delegate();
  const { last } = await feed();
  const poll = nodes[1]!.client.call("GET", `/v1/agent/assignments?wait=20&verdicts=${last}`);
  expect(await say(nodes[0]!, claim(hostile("one")))).toEqual({ taken: 1, refused: 0 });
  expect(await poll).toEqual({ verdicts: last + 1 });
  expect(read(await feed(last))).toMatchObject([
    { kind: "deny", text: hostile("one"), source: nodes[0]!.id, sequence: last + 1 },
  ]);
  // Who has read it waits on; who takes no part is never woken by it.
  const quiet = await nodes[1]!.client.fetch("GET", `/v1/agent/assignments?wait=0&verdicts=${last + 1}`);
  expect(quiet.status).toBe(204);
  expect((await nodes[2]!.client.fetch("GET", "/v1/agent/assignments?wait=0")).status).toBe(204);
});

test("pages of one verdict lose none of those that were claimed in one moment", async () => {
  await delegate();
  await say(nodes[0]!, ...["p1", "p2", "p3"].map(column => claim(hostile(column))));
  const paged: string[] = [];
  for (let cursor = ""; ; ) {
    const { items, nextCursor } = await fleet.admin.call<{
      items: SharedVerdictRow[];
      nextCursor: string | null;
    }>("GET", `/v1/immunity/verdicts?limit=1${cursor}`);
    paged.push(...items.map(({ id }) => id));
    if (nextCursor === null) break;
    cursor = `&cursor=${nextCursor}`;
  }
  expect(paged).toEqual((await listed()).map(({ id }) => id));
});

test.each([
  ["is benign", "select name from t where id = ?", "found benign here"],
  [
    "a rule set allows",
    "select allowed from t where id = ? union select secret from vault /*--*/",
    "found benign here",
  ],
  ["is no statement", "select ) ( union {9.9.9}", "no statement can be made"],
])("a claim that %s is refused with its reason, and reaches nobody", async (_what, text, because) => {
  await delegate();
  const { last } = await feed();
  await say(nodes[0]!, claim(text));
  expect((await becomes(text, "refused")).because).toContain(because);
  expect((await feed(last)).items).toEqual([]);
});

test("a claim by rules that are not here, or whose text is another shape's, is refused", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("unknown_rules"), { version: 9_999 }));
  expect((await becomes(hostile("unknown_rules"), "refused")).because).toContain("shop@9999");
  const lie = claim(hostile("truth"), { text: hostile("lie") });
  expect(await say(nodes[0]!, lie)).toEqual({ taken: 0, refused: 1 });
});

test("a node that lies fills its own cap of pending claims, and no more", async () => {
  await fleet.admin.call("POST", "/v1/immunity/stop", { reason: "so that they stay pending" });
  await delegate();
  const lies = Array.from({ length: 30 }, (_, i) => claim(hostile(`lie_${i}`)));
  expect(await say(nodes[0]!, ...lies)).toEqual({ taken: 20, refused: 10 });
  // Those that wait are known, and take no more room.
  expect(await say(nodes[0]!, ...lies)).toEqual({ taken: 20, refused: 10 });
  expect(await listed("pending")).toHaveLength(20);
  expect(await say(nodes[1]!, claim(hostile("honest")))).toEqual({ taken: 1, refused: 0 });
});

test.each([
  ["of one node: the rest is refused, lest it stand in others' way", { inForcePerNode: 2 }, 2, "refused"],
  ["of the fleet: the rest waits", { inForce: 3 }, 3, "pending"],
  ["in an hour: the rest waits", { perHour: 1 }, 0, "pending"],
] as const)("a delegation's bounds hold, %s", async (_what, caps, room, rest) => {
  await delegate(delegation(caps));
  const texts = Array.from({ length: 5 }, (_, i) => hostile(`${Object.keys(caps)[0]!.toLowerCase()}_${i}`));
  await say(nodes[2]!, ...texts.map(text => claim(text)));
  // Claims are taken in turn: when this one was refused, all of them have been looked at.
  const last = `select ${Object.keys(caps)[0]!.toLowerCase()} from t where id = ?`;
  await say(nodes[2]!, claim(last));
  await becomes(last, "refused");
  const states = (await listed()).filter(row => texts.includes(row.text)).map(({ state }) => state);
  expect(states.filter(state => state === "in-force")).toHaveLength(room);
  expect(states.filter(state => state === rest)).toHaveLength(5 - room);
});

test("without a delegation, or after its end, nothing is signed", async () => {
  version += 1;
  await fleet.push("other", version, { ruleText: ruleText("other") });
  await delegate(delegation({}, 1_500));
  await until(
    () => fleet.admin.call<ImmunityStatus>("GET", "/v1/immunity"),
    ({ delegations }) => delegations.every(each => each.version !== version),
    "the delegation is over",
  );
  await say(nodes[0]!, claim(hostile("of_other"), { ruleSet: "other" }));
  const row = await becomes(hostile("of_other"), "refused");
  expect(row.because).toContain("no version of other lets the online key");
});

test("revoked by a person: signed, numbered anew, and not in force; a node cannot revoke", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("wrong")));
  const { id } = await becomes(hostile("wrong"), "in-force");
  const { last } = await feed();
  expect(await nodes[0]!.client.refusal("DELETE", `/v1/immunity/verdicts/${id}`)).toMatchObject({
    status: 403,
  });
  await fleet.admin.call("DELETE", `/v1/immunity/verdicts/${id}?reason=a+report`);
  expect(read(await feed(last))).toMatchObject([{ kind: "revoke", id, sequence: last + 1 }]);
  expect((await becomes(hostile("wrong"), "revoked")).because).toBe("a report");
  expect(await fleet.admin.refusal("DELETE", `/v1/immunity/verdicts/${id}`)).toMatchObject({ status: 404 });
  // Who meets it next judges it by the same rules, and is not believed again; another version's word counts.
  expect(await say(nodes[1]!, claim(hostile("wrong")))).toEqual({ taken: 0, refused: 1 });
  await delegate();
  expect(await say(nodes[1]!, claim(hostile("wrong")))).toEqual({ taken: 1, refused: 0 });
  const { items } = await fleet.admin.call<{ items: { verb: string; subject: string }[] }>(
    "GET",
    "/v1/audit?limit=5",
  );
  expect(items).toContainEqual(expect.objectContaining({ verb: "revoke", subject: `shared-verdict:${id}` }));
});

test("in quarantine a node's word counts no more: what it alone claimed ends, what another claims stays", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("alone")), claim(hostile("both")));
  await becomes(hostile("both"), "in-force");
  await say(nodes[1]!, claim(hostile("both")));
  await fleet.admin.call("POST", `/v1/nodes/${nodes[0]!.id}/quarantine`, { reason: "it may lie" });
  expect((await becomes(hostile("alone"), "revoked")).because).toContain("quarantine");
  expect(await becomes(hostile("both"), "in-force")).toMatchObject({ claims: 1 });
});

test("what nodes answer is shown; said again, the later word holds, and of what is unknown nothing is kept", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("answered")));
  const { id } = await becomes(hostile("answered"), "in-force");
  const answer = (from: SimulatedNode, because: string | null) =>
    from.client.call("POST", "/v1/agent/verdicts/answers", {
      answers: [
        { verdict: id, because },
        { verdict: randomUUID(), because },
      ],
    });
  await answer(nodes[0]!, null);
  await answer(nodes[1]!, "honest-here");
  await answer(nodes[2]!, "not-hostile-here");
  await answer(nodes[2]!, null);
  expect(await becomes(hostile("answered"), "in-force")).toMatchObject({
    believed: 2,
    refused: { "honest-here": 1 },
  });
  const { nodes: answers } = await fleet.admin.call<{ nodes: { hostname: string }[] }>(
    "GET",
    `/v1/immunity/verdicts/${id}`,
  );
  expect(answers).toHaveLength(3);
});

test("stopped, everything is taken back and nothing is signed; released, what was claimed meanwhile is", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("before")));
  await becomes(hostile("before"), "in-force");
  const status = await fleet.admin.call<ImmunityStatus>("POST", "/v1/immunity/stop", {
    reason: "an exercise",
  });
  expect(status.stopped).toMatchObject({ reason: "an exercise" });
  expect((await becomes(hostile("before"), "revoked")).because).toContain("an exercise");
  await say(nodes[0]!, claim(hostile("meanwhile")));
  await fleet.admin.call("POST", "/v1/immunity/stop", { reason: "twice is once" });
  await say(nodes[0]!, claim(hostile("later")));
  expect(await listed("in-force")).toEqual([]);
  await fleet.admin.call("DELETE", "/v1/immunity/stop");
  await becomes(hostile("later"), "in-force");
  expect(await fleet.admin.refusal("DELETE", "/v1/immunity/stop")).toMatchObject({ code: "wrong-state" });
});

test("a month after its end a verdict is forgotten, and the fleet's last number never falls", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("old")), claim(hostile("oldest_number")));
  for (const column of ["old", "oldest_number"]) {
    const { id } = await becomes(hostile(column), "in-force");
    await fleet.admin.call("DELETE", `/v1/immunity/verdicts/${id}?reason=over`);
  }
  const { last } = await feed();
  await ask(
    stores,
    "update shared_verdicts set ended_at = now() - interval '31 days' where ended_at is not null",
  );
  await until(
    async () => (await listed()).map(({ text }) => text),
    texts => !texts.includes(hostile("old")),
    "the old one is forgotten",
  );
  await fleet.close();
  fleet = await startFleet(stores, { sharingKey: online });
  nodes = [await fleet.join("d")];
  expect((await feed(last)).last).toBe(last);
  await delegate();
  await say(nodes[0]!, claim(hostile("young")));
  await becomes(hostile("young"), "in-force");
  expect((await feed(last)).last).toBe(last + 1);
});

test("a verdict is revoked while a node's claim of it is being written, without waiting for it", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("contended")));
  const { id } = await becomes(hostile("contended"), "in-force");
  const writer = new pg.Client(stores.postgres.options);
  await writer.connect();
  try {
    await writer.query("begin");
    await writer.query("insert into shared_verdict_claims (verdict, node, at) values ($1, $2, now())", [
      id,
      nodes[1]!.id,
    ]);
    await fleet.admin.call("DELETE", `/v1/immunity/verdicts/${id}?reason=contended`);
    await writer.query("commit");
  } finally {
    await writer.end();
  }
  await becomes(hostile("contended"), "revoked");
});

test("what is taken back without the sharing key says that nodes were not told", async () => {
  await delegate();
  await say(nodes[0]!, claim(hostile("keyless")));
  const { id } = await becomes(hostile("keyless"), "in-force");
  await fleet.close();
  fleet = await startFleet(stores);
  await fleet.admin.call("DELETE", `/v1/immunity/verdicts/${id}?reason=stolen`);
  expect((await becomes(hostile("keyless"), "revoked")).because).toMatch(/^stolen; nodes were not told/);
});
