import type { RolloutState } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { RuleVersion } from "@picket/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  after,
  BUCKETS,
  bucketOf,
  type GateInput,
  gate,
  isActive,
  plan,
  type ReachedNode,
  type RolloutVerb,
  stableFor,
  stepOf,
  thresholds,
} from "./core.ts";

const v = (version: number) => version as RuleVersion;
const percents = fc
  .array(fc.integer({ min: 1, max: 100 }), { maxLength: 6 })
  .map(some => [...some.sort((a, b) => a - b), 100]);
const fleet = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 60 });
const salts = fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 8 });

// ---- who is in which step

test("every node has one step, and a later step contains every earlier one", () => {
  fc.assert(
    fc.property(fleet, percents, salts, (nodes, steps, draws) => {
      const made = plan(nodes, steps, draws);
      expect(made.nodes.map(({ node }) => node)).toEqual(nodes);
      const limits = thresholds(steps, made.lowestBucket);
      for (const { bucket, step } of made.nodes)
        limits.forEach((limit, i) => {
          expect(bucket < limit).toBe(i >= step);
        });
    }),
  );
});

test("no step takes fewer than one node, and the last takes all", () => {
  fc.assert(
    fc.property(fleet, percents, salts, (nodes, steps, draws) => {
      const made = plan(nodes, steps, draws);
      expect(made.nodes.some(({ step }) => step === 0)).toBe(true);
      expect(made.nodes.every(({ step }) => step < steps.length)).toBe(true);
    }),
  );
});

test("a node that joins later finds its step by itself and moves nobody", () => {
  fc.assert(
    fc.property(fleet, fc.uuid(), percents, salts, (nodes, joiner, steps, draws) => {
      const made = plan(nodes, steps, draws);
      const limits = thresholds(steps, made.lowestBucket);
      const step = stepOf(bucketOf(made.salt, joiner), limits);
      expect(step).toBeGreaterThanOrEqual(0);
      for (const node of made.nodes) expect(stepOf(bucketOf(made.salt, node.node), limits)).toBe(node.step);
    }),
  );
});

test("with salts to choose from, 20 % of five nodes is one and 40 % is two", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.uuid(), { minLength: 5, maxLength: 5 }), fc.integer(), (nodes, seed) => {
      const draws = Array.from({ length: 64 }, (_, i) => `${seed}-${i}`);
      const sizes = (steps: number[]) => {
        const made = plan(nodes, steps, draws);
        return steps.map((_, step) => made.nodes.filter(node => node.step <= step).length);
      };
      expect(sizes([20, 100])).toEqual([1, 5]);
      expect(sizes([20, 40, 100])).toEqual([1, 2, 5]);
    }),
    { numRuns: 50 },
  );
});

test("buckets are spread evenly: 20 % of 20,000 nodes is 20 % within one percent", () => {
  const below = Array.from({ length: 20_000 }, (_, i) => bucketOf("salt", `node-${i}`)).filter(
    bucket => bucket < 0.2 * BUCKETS,
  );
  expect(below.length / 20_000).toBeGreaterThan(0.19);
  expect(below.length / 20_000).toBeLessThan(0.21);
});

// ---- the gate

const active = (version: number, generation = 1): Installed =>
  ({ kind: "active", ruleSet: "shop", version, generation }) as Installed;
const keptLastGood = (refused: number, generation = 1): Installed =>
  ({
    kind: "kept-last-good",
    ruleSet: "shop",
    version: 1,
    refused,
    generation,
    because: { code: "verifier-refused", detail: "R1 invalid" },
  }) as Installed;
const good: ReachedNode = {
  hostname: "good",
  target: { version: v(2), generation: 1 },
  installed: active(2),
  reportAgeMs: 1_000,
  eventsLost: 0,
};
const input = (nodes: ReachedNode[], over: Partial<GateInput> = {}): GateInput => ({
  state: "running",
  step: 0,
  stepsTotal: 2,
  soakMs: 60_000,
  stepAgeMs: 60_000,
  lostEventsMax: 0,
  staleMs: 90_000,
  nodes,
  ...over,
});

test.each<[string, GateInput, string]>([
  ["all is well", input([good]), "advance soaked"],
  ["the last step completes", input([good], { step: 1 }), "complete soaked"],
  ["the soak is not over", input([good], { stepAgeMs: 59_999 }), "wait soaking"],
  [
    "one has not installed",
    input([good, { ...good, hostname: "slow", installed: null }]),
    "wait slow not installed yet",
  ],
  [
    "one runs the version before",
    input([good, { ...good, hostname: "old", installed: active(1) }]),
    "wait old not installed yet",
  ],
  [
    "one says so of an earlier assignment",
    input([{ ...good, target: { version: v(2), generation: 2 } }]),
    "wait good not installed yet",
  ],
  [
    "one refused",
    input([good, { ...good, hostname: "no", installed: keptLastGood(2) }]),
    "wait no refused: verifier-refused: R1 invalid",
  ],
  [
    "one refused another version before",
    input([{ ...good, hostname: "no", installed: keptLastGood(1) }]),
    "wait no not installed yet",
  ],
  [
    "one is silent since it installed",
    input([good, { ...good, hostname: "away", reportAgeMs: 90_001 }]),
    "wait no fresh report from away",
  ],
  [
    "one never reported",
    input([{ ...good, hostname: "new", installed: null, reportAgeMs: null }]),
    "wait new not installed and not reporting",
  ],
  [
    "one lost events",
    input([good, { ...good, hostname: "lossy", eventsLost: 1 }]),
    "wait lossy lost 1 events",
  ],
  ["losses within the bound", input([{ ...good, eventsLost: 5 }], { lostEventsMax: 5 }), "advance soaked"],
  ["nobody is left", input([]), "wait no node of this step is left"],
  [
    "many are named by three",
    input(["a", "b", "c", "d", "e"].map(hostname => ({ ...good, hostname, installed: null }))),
    "wait a, b, c and 2 more",
  ],
  ["rolled back", input([good], { state: "rolling-back", stepAgeMs: 0 }), "rolled-back 1 node"],
  [
    "not rolled back yet",
    input([{ ...good, installed: active(3) }], { state: "rolling-back" }),
    "wait good not installed yet",
  ],
  [
    "a roll back does not wait for losses",
    input([{ ...good, eventsLost: 9 }], { state: "rolling-back" }),
    "rolled-back",
  ],
])("%s", (_, given, expected) => {
  const decision = gate(given);
  expect(`${decision.kind} ${decision.because}`).toContain(expected);
});

const anyNode: fc.Arbitrary<ReachedNode> = fc.record({
  hostname: fc.constantFrom("a", "b", "c"),
  target: fc.record({ version: fc.constant(v(2)), generation: fc.integer({ min: 1, max: 3 }) }),
  installed: fc.oneof(
    fc.constant(null),
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 })).map(([a, b]) => active(a, b)),
    fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 }))
      .map(([a, b]) => keptLastGood(a, b)),
  ),
  reportAgeMs: fc.option(fc.integer({ min: 0, max: 200_000 })),
  eventsLost: fc.integer({ min: 0, max: 3 }),
});

test("nothing but full evidence from every node advances, and full evidence always does", () => {
  fc.assert(
    fc.property(
      fc.array(anyNode, { maxLength: 6 }),
      fc.integer({ min: 0, max: 120_000 }),
      fc.integer({ min: 0, max: 2 }),
      (nodes, stepAgeMs, lostEventsMax) => {
        const given = input(nodes, { stepAgeMs, lostEventsMax });
        const proven =
          nodes.length > 0 &&
          stepAgeMs >= given.soakMs &&
          nodes.every(
            node =>
              node.installed?.kind === "active" &&
              node.installed.version === node.target.version &&
              node.installed.generation >= node.target.generation &&
              node.reportAgeMs !== null &&
              node.reportAgeMs <= given.staleMs &&
              node.eventsLost <= lostEventsMax,
          );
        expect(gate(given).kind).toBe(proven ? "advance" : "wait");
      },
    ),
    { numRuns: 2_000 },
  );
});

// ---- the state machine

const verbs: RolloutVerb[] = ["pause", "resume", "abort", "roll-back", "complete", "finish-roll-back"];

test("whatever is asked in whatever order, only a running rollout completes and only a rolling-back one has rolled back", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...verbs), { maxLength: 30 }), asked => {
      let state: RolloutState = "running";
      for (const verb of asked) {
        const next = after(state, verb);
        if (next === "complete") expect(state).toBe("running");
        if (next === "rolled-back") expect(state).toBe("rolling-back");
        if (next === "running") expect(state).toBe("paused");
        // What ended comes back only to be taken back.
        if (!isActive(state) && next !== null) expect(next).toBe("rolling-back");
        state = next ?? state;
      }
    }),
  );
});

test("every active state can be ended", () => {
  for (const state of ["running", "paused", "rolling-back"] as const)
    expect(after(state, "abort")).toBe("aborted");
});

// ---- what is stable

test.each([
  ["the last complete one", { env: "prod" }, 2],
  ["only one that selects the node", { env: "test" }, 1],
  ["a narrower one that came later", { env: "prod", zone: "a" }, 3],
])("stable is %s", (_, labels, version) => {
  const complete = [
    { version: v(3), selector: { env: "prod", zone: "a" }, sequence: 9 },
    { version: v(1), selector: {}, sequence: 1 },
    { version: v(2), selector: { env: "prod" }, sequence: 5 },
  ];
  expect(stableFor(labels, complete)?.version).toBe(version);
});

test("without a complete rollout nothing is stable", () => {
  expect(stableFor({}, [])).toBeNull();
});
