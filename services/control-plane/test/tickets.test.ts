/** One ticket per cause, from its first sighting to its end and its return. */
import type { Alert, Ticket } from "@picket/shared/api";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  certificate,
  type Fleet,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  statement,
  until,
} from "./fleet.ts";
import { startGitHub } from "./github.ts";

const REPO = "example/operations";
let stores: Stores;
let github: Awaited<ReturnType<typeof startGitHub>>;
let fleet: Fleet;
let node: SimulatedNode;
let aheadMs = 0;

beforeAll(async () => {
  stores = await startStores();
  github = await startGitHub(REPO);
  fleet = await startFleet(
    stores,
    { github: { api: github.url, repo: REPO, token: "ghp_test" } },
    { clock: () => Date.now() + aheadMs },
  );
  node = await fleet.join("db-1");
});
afterAll(async () => {
  await fleet?.close();
  github?.close();
  await stores?.stop();
});
beforeEach(() => {
  github.faults.searchLags = false;
  github.faults.failNext = [];
});

const issuesOf = (cause: string) => github.issues.filter(({ body }) => body.includes(`\`${cause}\``));
const ticketOf = async (cause: string): Promise<Ticket | undefined> => {
  const { items } = await fleet.admin.call<{ items: Ticket[] }>("GET", "/v1/tickets");
  return items.find(({ causalKey }) => causalKey === cause);
};
const renewed = (causalKey: string, over = {}) =>
  certificate({
    causalKey,
    host: causalKey,
    priority: null,
    handshake: "succeeded",
    error: undefined,
    ...over,
  });
const failing = (causalKey: string, over = {}) => certificate({ causalKey, host: causalKey, ...over });

test("a cause gets one issue; its end closes it, its return opens the same one again", async () => {
  await node.events([failing("life")]);
  const open = await until(
    () => ticketOf("life"),
    ticket => ticket?.number != null,
  );
  expect(open).toMatchObject({ state: "open", url: expect.stringContaining(`/${REPO}/issues/`) });
  const [issue] = issuesOf("life");
  expect(issue).toMatchObject({
    title: "[P0] TLS handshake with life:3306 fails",
    labels: ["picket"],
    state: "open",
  });
  expect(issue!.body).toMatch(/<!-- picket:cause=[0-9a-f]{32} -->/);
  const { items } = await fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts");
  expect(items.find(({ causalKey }) => causalKey === "life")?.ticketUrl).toBe(open!.url);

  await node.events([renewed("life")]);
  await until(
    () => ticketOf("life"),
    ticket => ticket?.state === "closed",
  );
  expect(issue).toMatchObject({ state: "closed", comments: [expect.stringContaining("the cause is gone")] });

  await node.events([failing("life")]);
  await until(
    () => ticketOf("life"),
    ticket => ticket?.state === "open",
  );
  expect(issue).toMatchObject({
    state: "open",
    comments: [expect.anything(), expect.stringContaining("It is back")],
  });
  expect(issuesOf("life")).toHaveLength(1);
  expect(github.unknown).toEqual([]);
});

test("an alert that becomes worse is a comment, one that goes on is nothing", async () => {
  await node.events([statement({ causalKey: "worse", priority: "P2" })]);
  await until(
    () => ticketOf("worse"),
    ticket => ticket?.number != null,
  );
  await node.events([statement({ causalKey: "worse", priority: "P2" })]);
  await node.events([statement({ causalKey: "worse", priority: "P0" })]);
  await until(
    async () => issuesOf("worse")[0]!.comments.length,
    count => count === 1,
  );
  expect(issuesOf("worse")[0]!.comments[0]).toContain("Now P0");
});

test("an alert below the bound gets none", async () => {
  await node.events([statement({ causalKey: "low", priority: "P3" })]);
  await node.events([statement({ causalKey: "high", priority: "P2" })]);
  await until(
    () => ticketOf("high"),
    ticket => ticket?.number != null,
  );
  expect(await ticketOf("low")).toBeUndefined();
});

test("an issue that was created while the answer was lost is found again, even before it can be searched", async () => {
  github.faults.searchLags = true;
  const create = (method: string, path: string) =>
    method === "POST" && path.endsWith("/issues") ? "after" : null;
  github.faults.failNext = [create];
  await node.events([failing("lost-answer")]);
  const failed = await until(
    () => ticketOf("lost-answer"),
    ticket => ticket?.lastError != null,
  );
  expect(failed!.number).toBeNull();
  expect(issuesOf("lost-answer")).toHaveLength(1);
  aheadMs += 10_000; // Past the back-off.
  node.aheadMs = aheadMs;
  await until(
    () => ticketOf("lost-answer"),
    ticket => ticket?.number != null,
  );
  expect(issuesOf("lost-answer")).toHaveLength(1);
});

test("many sightings and two control planes at once make one issue", async () => {
  const second = await startFleet(
    stores,
    { github: { api: github.url, repo: REPO, token: "ghp_test" } },
    { clock: () => Date.now() + aheadMs },
  );
  try {
    await Promise.all(
      Array.from({ length: 20 }, () => node.events([statement({ causalKey: "crowd", priority: "P1" })])),
    );
    await until(
      () => ticketOf("crowd"),
      ticket => ticket?.number != null,
    );
    await until(
      () => fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts"),
      ({ items }) => items.some(({ causalKey, count }) => causalKey === "crowd" && count === 20),
    );
    expect(issuesOf("crowd")).toHaveLength(1);
  } finally {
    await second.close();
  }
});

test("a tracker that is down is tried again, and a cause that ended meanwhile gets no issue", async () => {
  github.faults.failNext = [() => "before"];
  await node.events([failing("down")]);
  await until(
    () => ticketOf("down"),
    ticket => ticket?.lastError?.includes("502") ?? false,
  );
  await node.events([renewed("down")]);
  await until(
    () => ticketOf("down"),
    ticket => ticket?.state === "closed",
  );
  expect(issuesOf("down")).toHaveLength(0);
});

test("what an attacker wrote is shown as text: it mentions nobody and ends no block", async () => {
  const sql = "select '@everyone' ```` <!-- picket:cause=0 --> ` union";
  await node.events([statement({ causalKey: "markup` @team", priority: "P1", sql })]);
  await until(
    () => ticketOf("markup` @team"),
    ticket => ticket?.number != null,
  );
  const { body } = github.issues.at(-1)!;
  const fences = body.match(/`{4}/g);
  expect(fences).toHaveLength(2);
  const inside = body.slice(body.indexOf("````"), body.lastIndexOf("````"));
  expect(inside).toContain("@everyone");
  expect(body.replace(inside, "")).not.toContain("@everyone");
});
