import { type TwinWord, twinDifference } from "@picket/shared/twin";
import { describe, expect, test } from "vitest";
import { type KnownUse, TwinLedger } from "./twin-ledger.ts";

const word = (text: string): TwinWord => {
  const [verdict, action] = text.split("/") as [TwinWord["verdict"], TwinWord["action"]];
  return { verdict, action, rule: verdict === "benign" ? null : `r-${action}` };
};
const honest = word("benign/observe");
const blocked = word("attack/block");
const told = (shape: string) => () => ({
  shape: shape.padEnd(64, "0") as never,
  dialect: "mysql" as const,
  sql: shape,
  workload: "shop",
});
const use = (key: bigint, count: number, stable = honest, byHand = false): KnownUse => ({
  key,
  count,
  stable,
  byHand,
});

describe("which words are a difference", () => {
  test.each([
    ["benign/observe", "benign/observe", null],
    ["benign/observe", "attack/block", "would-block"],
    ["attack/alert", "attack/block", "would-block"],
    ["attack/block", "benign/observe", "would-pass"],
    ["attack/block", "attack/alert", "would-pass"],
    ["attack/block", "probe/block", "otherwise"],
    ["benign/observe", "probe/alert", "otherwise"],
    ["attack/observe", "attack/alert", "otherwise"],
  ])("%s, and the twin %s: %s", (stable, candidate, kind) =>
    expect(twinDifference(word(stable), word(candidate))).toBe(kind),
  );
  test("by which rule is none", () =>
    expect(twinDifference(blocked, { ...blocked, rule: "another" })).toBeNull());
});

describe("counts", () => {
  test("uses before the twin began are none of its", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 500, [use(7n, 400)]);
    ledger.count(1, [use(7n, 403)], () => 503);
    ledger.settle(1, 7n, blocked, told("a"));
    expect(ledger.figures()).toMatchObject({ statements: 3, compared: 3, wouldBlock: 3, wouldPass: 0 });
    expect(ledger.differences(10).listed).toMatchObject([{ kind: "would-block", count: 3 }]);
  });

  test("uses that waited for the word weigh by it, and later ones at once", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, []);
    ledger.count(1, [use(7n, 10), use(8n, 2, blocked)], () => 12);
    expect(ledger.figures()).toMatchObject({ statements: 12, compared: 0 });
    expect([...ledger.waiting(1)].map(({ key }) => key)).toEqual([7n, 8n]);
    ledger.settle(1, 7n, honest, told("a"));
    ledger.settle(1, 8n, honest, told("b"));
    ledger.count(1, [use(7n, 11), use(8n, 5, blocked)], () => 16);
    expect(ledger.figures()).toEqual({
      statements: 16,
      compared: 16,
      wouldBlock: 0,
      wouldPass: 5,
      otherwise: 0,
    });
    expect([...ledger.waiting(1)]).toEqual([]);
  });

  test("what has no word is not compared", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, []);
    ledger.count(1, [use(7n, 90), use(8n, 10)], () => 120);
    ledger.settle(1, 8n, honest, told("b"));
    expect(ledger.figures()).toMatchObject({ statements: 120, compared: 10 });
  });

  test("a shape that was forgotten and is known anew counts from nothing", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, [use(7n, 100)]);
    ledger.settle(1, 7n, blocked, told("a"));
    ledger.count(1, [use(7n, 4)], () => 4);
    expect(ledger.figures()).toMatchObject({ compared: 4, wouldBlock: 4 });
  });

  test("a shape that what enforces judges otherwise from now on is compared anew", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, []);
    ledger.count(1, [use(7n, 5)], () => 5);
    ledger.settle(1, 7n, blocked, told("a"));
    ledger.count(1, [use(7n, 8, blocked)], () => 8);
    ledger.settle(1, 7n, blocked, told("a"));
    expect(ledger.figures()).toMatchObject({ compared: 8, wouldBlock: 5, wouldPass: 0 });
  });

  test("a first use counts as one, and what the kernel counts after it is added", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, []);
    ledger.met(1, { key: 7n, holds: true, stable: honest, candidate: blocked }, told("a"));
    ledger.count(1, [use(7n, 29)], () => 30);
    expect(ledger.figures()).toMatchObject({ statements: 30, compared: 30, wouldBlock: 30 });
  });

  test("where the twin's word turned on a value, only that statement was compared", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, []);
    ledger.met(1, { key: 7n, holds: false, stable: honest, candidate: blocked }, told("a"));
    ledger.count(1, [use(7n, 29)], () => 30);
    expect(ledger.figures()).toMatchObject({ statements: 30, compared: 1, wouldBlock: 1 });
  });

  test("one shape under several keys, of several versions, is one difference", () => {
    const ledger = new TwinLedger();
    for (const ordinal of [1, 2]) {
      ledger.begin(ordinal, 0, []);
      ledger.count(ordinal, [use(7n, 2), use(8n, 3)], () => 5);
      for (const key of [7n, 8n]) ledger.settle(ordinal, key, blocked, told("a"));
    }
    expect(ledger.differences(10)).toMatchObject({ listed: [{ count: 10 }], unlisted: 0 });
  });

  test("never more is compared than was judged, while the kernel was not read", () => {
    const ledger = new TwinLedger();
    ledger.met(1, { key: null, holds: true, stable: honest, candidate: honest }, told("a"));
    expect(ledger.figures()).toMatchObject({ statements: 1, compared: 1 });
  });

  test("differences are bounded, and those beyond are said and stay in the figures", () => {
    const ledger = new TwinLedger(3);
    for (let i = 0; i < 5; i++)
      ledger.met(1, { key: null, holds: true, stable: honest, candidate: blocked }, told(`s${i}`));
    expect(ledger.differences(2)).toMatchObject({ listed: [{}, {}], unlisted: 3 });
    expect(ledger.figures().wouldBlock).toBe(5);
  });

  test("a version that is no more live is not kept", () => {
    const ledger = new TwinLedger();
    ledger.begin(1, 0, []);
    ledger.count(1, [use(7n, 2)], () => 2);
    ledger.keep([2]);
    expect([...ledger.waiting(1)]).toEqual([]);
  });
});
