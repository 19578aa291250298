/** Shapes from nodes, each counted once however often its batch comes; and what a rule set would have done to them. */
import { createHash, randomUUID } from "node:crypto";
import type { Backtest, BacktestDetails } from "@picket/shared/backtest";
import type { ShapeBatch, ShapeBatchResponse } from "@picket/shared/contract";
import { SHAPE_ALGORITHM } from "@picket/shared/shape";
import { afterAll, beforeAll, expect, test } from "vitest";
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

let stores: Stores;
let fleet: Fleet;
let node: SimulatedNode;
let other: SimulatedNode;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores);
  node = await fleet.join("db-1");
  other = await fleet.join("db-2");
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const shape = (text: string, uses: number, workload = "shop") => ({
  shape: createHash("sha256").update(`${SHAPE_ALGORITHM}\nmysql\n${text}`).digest("hex"),
  dialect: "mysql",
  text,
  workload,
  uses,
});
const send = (from: SimulatedNode, epoch: string, shapes: unknown[]) =>
  from.client.call<ShapeBatchResponse>("POST", "/v1/agent/shapes", { epoch, shapes } as ShapeBatch);
const uses = async (text: string) =>
  (
    await ask<{ uses: string }>(
      stores,
      "select uses_now + uses_before as uses from shape_uses join shapes on digest = shape where text = $1 order by 1",
      [text],
    )
  ).map(row => Number(row.uses));
const finished = async (body: object) => {
  const { id } = await fleet.admin.call<Backtest>("POST", "/v1/backtests", body);
  return until(
    () => fleet.admin.call<BacktestDetails>("GET", `/v1/backtests/${id}`),
    ({ finishedAt }) => finishedAt !== null,
    "the backtest",
  );
};

const blocks = (name: string, pattern: string) =>
  ruleText(name).replace(
    "spec:\n",
    `spec:\n  core: false\n  rules:\n    - { id: own, title: T, severity: high, action: block, reason: R, pattern: "${pattern}" }\n`,
  );

test("a batch that comes twice, or late, counts once; another run of the agent is added", async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  const of = (count: number) => [shape("select a from once", count)];
  expect(await send(node, first, of(5))).toEqual({ stored: 1, refused: 0 });
  await send(node, first, of(9));
  await send(node, first, of(9));
  await send(node, first, of(5));
  expect(await uses("select a from once")).toEqual([9]);
  await send(node, second, of(2));
  await send(node, second, of(3));
  await send(other, randomUUID(), of(100));
  expect(await uses("select a from once")).toEqual([12, 100]);
});

test("a text that is not its digest's is refused: no node says what another one's shape is", async () => {
  const lie = { ...shape("select a from truth", 1), text: "select a from lie" };
  expect(await send(node, randomUUID(), [lie, shape("select a from truth", 1)])).toEqual({
    stored: 1,
    refused: 1,
  });
  expect(await uses("select a from lie")).toEqual([]);
});

test("the same shape twice in one batch, and many nodes at once, disturb nobody", async () => {
  const shapes = Array.from({ length: 300 }, (_, i) => shape(`select a from crowd${i % 150}`, i));
  const answers = await Promise.all(
    [node, other, node, other].map((from, i) =>
      send(from, randomUUID(), i % 2 ? shapes.toReversed() : shapes),
    ),
  );
  for (const answer of answers) expect(answer).toEqual({ stored: 150, refused: 0 });
});

test("a rule text is replayed over the fleet's shapes, in a thread, and says what it would have blocked", async () => {
  await send(node, randomUUID(), [
    shape("select name from users where id = ?", 40_999_000),
    shape("drop table carts", 3),
    shape("select {99.0.0} from nowhere", 2),
  ]);
  await send(other, randomUUID(), [shape("drop table carts", 4, "batch")]);
  const done = await finished({ ruleText: blocks("drops", "DROP TABLE") });
  expect(done).toMatchObject({
    ruleSet: "drops",
    version: null,
    baseline: null,
    state: "done",
    error: null,
    report: {
      outcomes: { block: { shapes: 1, statements: 7 } },
      notReplayed: { shapes: 1, statements: 2 },
      changes: null,
      byRule: [{ rule: "own", shapes: 1, statements: 7 }],
    },
  });
  expect(done.summary).toMatch(/^would have blocked 7 of 41(\.\d)? M statements \(1 of \d+ shapes\)/);
  expect(done.report?.examples.block.map(({ workloads, statements }) => [workloads, statements])).toEqual([
    [["batch"], 4],
    [["shop"], 3],
  ]);
  expect(done.report?.examples.block[0]?.sql).toBe("drop table carts");
});

test("a version is compared with the one that is stable, and its rollout shows the newest backtest", async () => {
  await fleet.push("steady", 1, { ruleText: blocks("steady", "TRUNCATE TABLE") });
  const first = await fleet.start("steady", 1, [{ percent: 100 }]);
  for (const each of [node, other]) await each.follow();
  await until(
    () => fleet.rollout(first.id),
    ({ state }) => state === "complete",
  );
  await send(node, randomUUID(), [shape("truncate table a", 11), shape("drop table b", 13)]);
  await fleet.push("steady", 2, { ruleText: blocks("steady", "DROP TABLE b") });
  const done = await finished({ ruleSet: "steady", version: 2 });
  expect(done).toMatchObject({
    version: 2,
    baseline: 1,
    report: {
      changes: {
        newlyBlocked: { shapes: 1, statements: 13, examples: [{ sql: "drop table b" }] },
        noLongerBlocked: { shapes: 1, statements: 11 },
      },
      newShapes: { shapes: 2, statements: 24 },
    },
  });
  const second = await fleet.start("steady", 2, [{ percent: 100 }]);
  expect(second.backtest).toMatchObject({ id: done.id, state: "done", summary: done.summary });
  expect(first.backtest).toBeNull();
});

test("what does not compile fails with the place, and the process goes on", async () => {
  const done = await finished({ ruleText: blocks("broken", "OR 1 = 1") });
  expect(done).toMatchObject({ state: "failed", report: null });
  expect(done.error).toMatch(/rules\.yaml:9:\d+: .* a shape holds no values/);
});

test("a text that is no rule set, a version that is not there, and who may only look are refused", async () => {
  const status = async (body: unknown) => (await fleet.admin.fetch("POST", "/v1/backtests", body)).status;
  expect(await status({ ruleText: "kind: RuleSet" })).toBe(422);
  expect(await status({ ruleSet: "steady", version: 99 })).toBe(404);
  expect(await status({ ruleSet: "steady", version: 1, ruleText: "x" })).toBe(422);
  expect((await node.client.fetch("POST", "/v1/backtests", { ruleSet: "steady", version: 1 })).status).toBe(
    403,
  );
});

test("one that a dead process left is taken again by the sweep", async () => {
  const done = await finished({ ruleText: blocks("again", "DROP TABLE") });
  await ask(
    stores,
    "update backtests set state = 'running', finished_at = null, report = null, started_at = now() - interval '1 hour' where id = $1",
    [done.id],
  );
  await until(
    () => fleet.admin.call<BacktestDetails>("GET", `/v1/backtests/${done.id}`),
    ({ state, report }) => state === "done" && report !== null,
  );
});
