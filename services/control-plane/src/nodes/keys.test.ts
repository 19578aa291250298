import type { NodeId } from "@picket/shared/ids";
import { beforeEach, expect, test } from "vitest";
import { NodeKeys } from "./keys.ts";

const MINUTE = 60_000;
const node = (i: number) => `node ${i}` as NodeId;

let nowMs = 0;
let statements: NodeId[][] = [];
let away = false;
const enrolled = new Set<NodeId>();

const heard = (): NodeKeys => {
  const keys = new NodeKeys(
    async asked => {
      statements.push(asked);
      if (away) throw new Error("the database is away");
      return asked.map(each => (enrolled.has(each) ? { publicKey: `key of ${each}`, previous: null } : null));
    },
    () => nowMs,
  );
  keys.keep(true);
  return keys;
};

beforeEach(() => {
  nowMs = 0;
  statements = [];
  away = false;
  enrolled.clear();
  for (let i = 0; i < 1_000; i++) enrolled.add(node(i));
});

test("a node that polls every four minutes is looked up once, and from then on with hundreds of others", async () => {
  const keys = heard();
  const ids = Array.from({ length: 1_000 }, (_, i) => node(i));
  await Promise.all(ids.map(id => keys.of(id)));
  expect(statements.flat()).toEqual(ids);
  statements = [];
  for (let minute = 1; minute <= 20; minute++) {
    nowMs += MINUTE;
    await keys.renew();
    if (minute % 4 === 0)
      for (let i = 0; i < 1_000; i++) expect(await keys.of(node(i))).toEqual([`key of ${node(i)}`]);
  }
  expect(statements.length).toBeLessThanOrEqual(2 * 7);
  expect(statements.every(asked => asked.length === 500)).toBe(true);
});

test("a node that lost its standing is let in for five minutes at most where the bell was not heard", async () => {
  const keys = heard();
  await keys.of(node(1));
  enrolled.delete(node(1));
  nowMs += 3 * MINUTE + 1;
  await keys.renew();
  expect(await keys.of(node(1))).toEqual([]);
});

test("keys that could not be read anew hold no longer for it", async () => {
  const keys = heard();
  await keys.of(node(1));
  away = true;
  nowMs += 4 * MINUTE;
  await keys.renew();
  expect(await keys.of(node(1))).toEqual([`key of ${node(1)}`]);
  nowMs += MINUTE;
  await expect(keys.of(node(1))).rejects.toThrow("away");
});

test("whoever has not come for an hour is not looked up for ever", async () => {
  const keys = heard();
  await keys.of(node(1));
  for (let minute = 0; minute < 300; minute++) {
    nowMs += MINUTE;
    await keys.renew();
  }
  expect(statements.length).toBeLessThanOrEqual(20);
});

test("where nobody hears the bell each call asks", async () => {
  const keys = heard();
  keys.keep(false);
  await keys.of(node(1));
  await keys.of(node(1));
  expect(statements).toHaveLength(2);
});
