import type { SignalFinding } from "@picket/shared/api";
import type { RuleSetName } from "@picket/shared/ids";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Counted } from "../../db/totals.ts";
import { findings, type Sample } from "./signals.ts";

const SHOP = "shop" as RuleSetName;
type Over = Partial<Omit<Counted, "sets">> & {
  statements?: number;
  errors?: number;
  slow?: number;
  blocked?: number;
  responses?: null;
};

function counted({
  statements = 10_000,
  errors = 10,
  slow = 500,
  blocked = 1,
  responses,
  ...over
}: Over = {}): Counted {
  return {
    atMs: 0,
    seconds: 600,
    cpuSeconds: 6,
    restarts: 0,
    emitted: 1_000,
    lost: 0,
    residentBytes: 60e6,
    sets: {
      shop: {
        statements,
        blocked,
        wouldBlock: 0,
        neverKnown: Math.round(statements / 100),
        responses:
          responses === null
            ? null
            : {
                ok: statements - errors,
                errors,
                latencyLog2Us: [0, 0, 0, 0, 0, 0, 0, 0, 0, statements - slow, slow],
              },
      },
    },
    ...over,
  };
}
/** Nodes that differ a little, each in its own way, always the same. */
const arm = (nodes: number, over: (i: number) => Over = () => ({}), sample: Partial<Sample> = {}): Sample[] =>
  Array.from({ length: nodes }, (_, i) => ({
    before: counted({ errors: 10 + (i % 3), slow: 490 + (i % 20), residentBytes: 60e6 + (i % 5) * 1e6 }),
    during: counted({
      errors: 10 + ((i * 7) % 4),
      slow: 490 + ((i * 5) % 20),
      residentBytes: 60e6 + (i % 5) * 1e6,
      cpuSeconds: 6 + (i % 4) / 10,
      ...over(i),
    }),
    silent: false,
    ...sample,
  }));

const find = (canary: Sample[], control: Sample[] = arm(80)) =>
  Object.fromEntries(
    findings(SHOP, { canary, control }, { alpha: 0.01, stepsTotal: 3 }).map(each => [each.signal, each]),
  ) as Record<string, SignalFinding>;
const not = (found: Record<string, SignalFinding>, finding: string) =>
  Object.values(found)
    .filter(each => each.finding !== finding)
    .map(each => `${each.signal} ${each.finding}`);

test("a canary like the rest is fine in every signal", () => {
  expect(not(find(arm(20)), "fine")).toEqual([]);
});

test.each<[string, string, (i: number) => Over]>([
  ["database-errors", "errors six times as often", () => ({ errors: 60 })],
  ["latency", "slow half as often again", () => ({ slow: 800 })],
  ["blocked", "one statement of a hundred blocked", () => ({ blocked: 100 })],
  ["event-loss", "a tenth of the events lost", i => ({ lost: 100 + (i % 3) })],
  ["agent-memory", "half the memory more", i => ({ residentBytes: 90e6 + (i % 5) * 1e6 })],
  ["agent-cpu", "ten times the CPU", i => ({ cpuSeconds: 60 + (i % 4) })],
  ["crashes", "every agent restarted", () => ({ restarts: 1 })],
])("%s: %s is worse, and nothing else is", (signal, _, over) => {
  const found = find(arm(20, over));
  expect(found[signal]!.finding).toBe("worse");
  expect(not(found, "fine")).toEqual([`${signal} worse`]);
  expect(found[signal]!.eValue).toBeGreaterThan(found[signal]!.threshold);
});

describe("what does not roll back", () => {
  test("one node with a problem of its own", () => {
    const found = find(arm(20, i => (i === 3 ? { errors: 5_000, restarts: 1, residentBytes: 900e6 } : {})));
    expect(Object.values(found).filter(({ finding }) => finding === "worse")).toEqual([]);
  });
  test("canaries that have just installed: of a moment, making two reports is all that the agent did", () => {
    const found = find(arm(20, i => ({ seconds: 0.2 + (i % 3) / 20, cpuSeconds: 0.006 + (i % 4) / 2_000 })));
    expect(found["agent-cpu"]).toMatchObject({ finding: "open", why: "too few nodes to compare" });
    expect(Object.values(found).filter(({ finding }) => finding === "worse")).toEqual([]);
  });
  test("two canaries, however bad: chance cannot be told from harm", () => {
    const found = find(arm(2, () => ({ errors: 60 })));
    expect(found["database-errors"]).toMatchObject({
      finding: "open",
      why: "fewer than 3 canary nodes: chance cannot be told from harm",
    });
  });
  test("a node that was always so", () => {
    const habit = arm(20).map((sample, i) =>
      i < 4 ? { ...sample, before: counted({ errors: 300 }), during: counted({ errors: 300 }) } : sample,
    );
    const control = arm(80).map((sample, i) =>
      i < 4 ? { ...sample, before: counted({ errors: 300 }), during: counted({ errors: 300 }) } : sample,
    );
    expect(find(habit, control)["database-errors"]!.finding).not.toBe("worse");
  });
  test("a canary that is better", () => {
    expect(find(arm(20, () => ({ errors: 0, slow: 10 })))["database-errors"]!.finding).toBe("fine");
  });
  test("a certain difference that does not matter", () => {
    const found = find(arm(20, i => ({ residentBytes: 61e6 + (i % 5) * 1e6 })));
    expect(found["agent-memory"]!.finding).toBe("fine");
  });
});

describe("what is no evidence", () => {
  test("responses that one node does not tell: unread, and the rest is read", () => {
    const found = find(arm(20, i => (i === 0 ? { responses: null } : {})));
    expect(found["database-errors"]).toMatchObject({ finding: "unread", why: "1 of 100 nodes do not tell" });
    expect(found.latency!.finding).toBe("unread");
    expect(found.blocked!.finding).toBe("fine");
  });
  test("too few statements", () => {
    const found = find(arm(20, () => ({ statements: 10, errors: 0, slow: 0, blocked: 0 })));
    expect(found["database-errors"]).toMatchObject({
      finding: "open",
      why: "200 of the 1000 that the canary must have seen",
    });
  });
  test("nobody spoke", () => {
    const silent = { seconds: 0, statements: 0, errors: 0, slow: 0, blocked: 0, emitted: 0 };
    const found = find(
      arm(20, () => silent),
      arm(80, () => silent),
    );
    expect(found["agent-cpu"]!.finding).toBe("open");
  });
});

test("silent canaries are crashes", () => {
  expect(find(arm(20, undefined, { silent: true })).crashes).toMatchObject({
    finding: "worse",
    canary: { hits: 20, of: 20 },
  });
});

test("whatever is counted, each signal has one finding and no figure is not a number", () => {
  const any = fc.array(
    fc.record({
      before: fc.option(
        fc.record({
          errors: fc.nat(1_000),
          slow: fc.nat(1_000),
          statements: fc.integer({ min: 1_000, max: 100_000 }),
        }),
      ),
      during: fc.record({
        statements: fc.integer({ min: 0, max: 1e9 }),
        errors: fc.nat(1e6),
        blocked: fc.nat(1e6),
        seconds: fc.integer({ min: 0, max: 1e7 }),
        residentBytes: fc.integer({ min: 0, max: 2 ** 40 }),
        restarts: fc.nat(3),
        lost: fc.nat(1e6),
      }),
      silent: fc.boolean(),
    }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(any, any, (left, right) => {
      const samples = (given: typeof left): Sample[] =>
        given.map(({ before, during, silent }) => ({
          before: before && counted(before),
          during: counted(during),
          silent,
        }));
      fc.pre(left.length > 0 && right.length > 0);
      const found = findings(
        SHOP,
        { canary: samples(left), control: samples(right) },
        { alpha: 0.01, stepsTotal: 2 },
      );
      expect(new Set(found.map(({ signal }) => signal)).size).toBe(9);
      for (const each of found)
        for (const value of [each.difference, each.upper, each.margin, each.eValue])
          if (value !== null) expect(value).not.toBeNaN();
    }),
  );
});
