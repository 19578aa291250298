/** Events from nodes: none lost, none twice, and read back in the order of commit. */
import { randomUUID } from "node:crypto";
import { DetectionRow } from "@picket/shared/api";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, type SimulatedNode, type Stores, startFleet, startStores, statement } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let node: SimulatedNode;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, { readmitMs: 300 });
  node = await fleet.join("db-1");
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

type List = { items: DetectionRow[]; nextCursor: string | null };
const list = (query: string) => fleet.admin.call<List>("GET", `/v1/detections?${query}`);
const shuffled = <T>(items: T[]): T[] => items.toSorted(() => Math.random() - 0.5);

test("batches that come twice, overlap and come out of order leave each event once", async () => {
  const events = Array.from({ length: 300 }, (_, i) => statement({ causalKey: `dup-${i}` }));
  const batches = shuffled([
    events.slice(0, 100),
    events.slice(50, 200),
    events.slice(150, 300),
    events.slice(0, 100),
    shuffled(events),
  ]);
  const answers = await Promise.all(batches.map(batch => node.events(batch)));
  expect(answers.map(({ committed }) => committed)).toEqual(batches.map(({ length }) => length));
  const stored = answers.reduce((sum, { committed, duplicates }) => sum + committed - duplicates, 0);
  expect(stored).toBe(300);
  const { items } = await list("limit=500");
  const ours = items.filter(({ detection }) => detection.causalKey.startsWith("dup-"));
  expect(new Set(ours.map(({ detection }) => detection.id)).size).toBe(300);
  expect(ours).toHaveLength(300);
});

test("an event twice in one batch is one", async () => {
  const event = statement({ causalKey: "twice" });
  expect(await node.events([event, event])).toEqual({ committed: 2, duplicates: 1 });
});

test("text that PostgreSQL cannot store does not hold up the batch", async () => {
  const events = [
    statement({ causalKey: "nul", sql: "select '\0' \ud800" }),
    statement({ causalKey: "nul" }),
  ];
  expect(await node.events(events)).toEqual({ committed: 2, duplicates: 0 });
  const { items } = await list("limit=2");
  expect(items.map(({ detection }) => detection.kind === "statement" && detection.sql)).toContain(
    "select '\ufffd' \ufffd",
  );
});

test("a batch that is empty, too long or not valid is refused whole", async () => {
  expect(await node.client.refusal("POST", "/v1/agent/events", { events: [] })).toMatchObject({
    status: 422,
  });
  const long = Array.from({ length: 1_001 }, () => statement());
  expect(await node.client.refusal("POST", "/v1/agent/events", { events: long })).toMatchObject({
    status: 422,
  });
  const batch = [statement({ causalKey: "whole" }), { ...statement(), kind: "nonsense" }];
  expect(await node.client.refusal("POST", "/v1/agent/events", { events: batch })).toMatchObject({
    status: 422,
  });
  const { items } = await list("limit=50");
  expect(items.some(({ detection }) => detection.causalKey === "whole")).toBe(false);
});

test("pages run through all, newest first, and on from a sequence, oldest first", async () => {
  const other = await fleet.join("db-2");
  await other.events(Array.from({ length: 25 }, (_, i) => statement({ causalKey: `page-${i}` })));
  const seen: number[] = [];
  let cursor = "";
  do {
    const { items, nextCursor } = await list(`node=${other.id}&limit=10${cursor}`);
    seen.push(...items.map(({ sequence }) => sequence));
    cursor = nextCursor === null ? "" : `&cursor=${nextCursor}`;
  } while (cursor !== "");
  expect(seen).toEqual(seen.toSorted((a, b) => b - a));
  expect(seen).toHaveLength(25);
  const middle = seen[10]!;
  const { items } = await list(`node=${other.id}&since=${middle}`);
  expect(items.map(({ sequence }) => sequence)).toEqual(
    seen.filter(s => s > middle).toSorted((a, b) => a - b),
  );
});

/** Reads a stream until it has seen enough rows. */
async function readStream(
  rows: number,
  headers: Record<string, string>,
  query = "",
): Promise<DetectionRow[]> {
  const stop = new AbortController();
  const response = await fetch(`${fleet.url}/v1/detections/stream${query}`, {
    headers: { authorization: `Bearer ${fleet.admin.token}`, ...headers },
    signal: stop.signal,
  });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const seen: DetectionRow[] = [];
  let text = "";
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString("utf8");
    const events = text.split("\n\n");
    text = events.pop()!;
    for (const event of events) {
      const data = /^data: (.+)$/m.exec(event)?.[1];
      if (!event.includes("event: detection") || data === undefined) continue;
      const row = DetectionRow.parse(JSON.parse(data));
      expect(event).toContain(`id: ${row.sequence}`);
      seen.push(row);
    }
    if (seen.length >= rows) break;
  }
  stop.abort();
  return seen;
}

test("an open stream ends when its reader's token is revoked", async () => {
  const { items } = await list("limit=1");
  const reader = await fleet.admin.call<{ id: string; token: string }>("POST", "/v1/api-tokens", {
    label: "reader",
    role: "viewer",
  });
  const authorization = `Bearer ${reader.token}`;
  const reading = readStream(Number.POSITIVE_INFINITY, { authorization }, `?since=${items[0]!.sequence}`);
  await node.events([statement({ causalKey: "while it may" })]);
  await new Promise(done => setTimeout(done, 1_000));
  await fleet.admin.call("DELETE", `/v1/api-tokens/${reader.id}`);
  expect((await reading).map(({ detection }) => detection.causalKey)).toEqual(["while it may"]);
});

test("a stream that is cut goes on after the last event it showed, whatever was committed meanwhile", async () => {
  const { items } = await list("limit=1");
  const since = items[0]!.sequence;
  const send = (name: string, count: number) =>
    node.events(Array.from({ length: count }, () => statement({ causalKey: name, id: randomUUID() })));
  const reading = readStream(3, {}, `?since=${since}`);
  await send("first", 3);
  const before = await reading;
  await send("meanwhile", 250);
  const after = await readStream(250, { "last-event-id": String(before.at(-1)!.sequence) });
  expect(after.map(({ detection }) => detection.causalKey)).toEqual(Array(250).fill("meanwhile"));
  expect(after[0]!.sequence).toBeGreaterThan(before.at(-1)!.sequence);
});

test("sequences become visible in their order while many nodes write at once", async () => {
  const nodes = await Promise.all([1, 2, 3, 4, 5, 6].map(i => fleet.join(`order-${i}`)));
  // Reads as streams and alerts do, by its own connection, so as often as it can.
  const reader = new pg.Client(stores.postgres.options);
  await reader.connect();
  const readAfter = async (sequence: number) => {
    const { rows } = await reader.query<{ sequence: string }>(
      "select sequence from detections where sequence > $1 order by sequence",
      [sequence],
    );
    return rows.map(row => Number(row.sequence));
  };
  let since = (await readAfter(0)).at(-1) ?? 0;
  let writing = true;
  const written = Promise.all(
    nodes.map(async writer => {
      for (let i = 0; i < 60; i++)
        await writer.events(
          Array.from({ length: 100 }, () => statement({ causalKey: "order", id: randomUUID() })),
        );
    }),
  ).finally(() => {
    writing = false;
  });
  let read = 0;
  for (;;) {
    const last = !writing;
    const sequences = await readAfter(since);
    read += sequences.length;
    since = sequences.at(-1) ?? since;
    if (last && sequences.length === 0) break;
  }
  await written;
  await reader.end();
  // A row that became visible below a sequence that was read already would be missing here.
  expect(read).toBe(6 * 60 * 100);
});
