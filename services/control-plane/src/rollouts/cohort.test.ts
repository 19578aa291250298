import type { RuleVersion } from "@picket/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BUCKETS, bucketOf, plan, stableFor, stepOf, thresholds } from "./cohort.ts";

const v = (version: number) => version as RuleVersion;
const percents = fc
  .array(fc.integer({ min: 1, max: 100 }), { maxLength: 6 })
  .map(some => [...some.sort((a, b) => a - b), 100]);
const fleet = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 60 });
const salts = fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 8 });

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
