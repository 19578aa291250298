import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { confidenceRadius, eValueOfFailures, eValueOfHarm, normalCdf, normalFromT } from "./sequential.ts";

describe("the normal distribution", () => {
  // Abramowitz & Stegun, table 26.1.
  test.each([
    [0, 0.5],
    [0.5, 0.691462461],
    [1, 0.841344746],
    [1.96, 0.975002105],
    [3, 0.998650102],
    [4.5, 0.999996602],
    [-1, 0.158655254],
    [-6, 9.866e-10],
  ])("Φ(%s) = %s", (x, expected) => expect(normalCdf(x)).toBeCloseTo(expected, 8));
  test("never falls, and stays within 0 and 1", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -30, max: 30, noNaN: true }),
        fc.double({ min: 0, max: 5, noNaN: true }),
        (x, step) => {
          expect(normalCdf(x)).toBeGreaterThanOrEqual(0);
          expect(normalCdf(x + step)).toBeGreaterThanOrEqual(normalCdf(x) - 1e-12);
          expect(normalCdf(x)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});

// Quantiles of Student's t with upper tail 0.025 and 0.001: the normal ones are 1.960 and 3.090.
test.each([
  [3, 3.182, 1.96],
  [5, 2.571, 1.96],
  [10, 2.228, 1.96],
  [30, 2.042, 1.96],
  [5, 5.893, 3.09],
  [10, 4.144, 3.09],
])("with %i degrees of freedom t = %s is as unlikely as z = %s", (degrees, t, z) => {
  expect(Math.abs(normalFromT(t, degrees) - z)).toBeLessThan(0.03);
  expect(normalFromT(-t, degrees)).toBe(-normalFromT(t, degrees));
});

test("no difference is evidence for no difference, and a large one against it", () => {
  const of = (difference: number) => eValueOfHarm({ difference, standardError: 1, degrees: 1e6 }, 2);
  expect(of(0)).toBeLessThan(1);
  expect(of(-5)).toBeLessThan(0.1);
  expect(of(6)).toBeGreaterThan(10_000);
  expect(Number.isFinite(of(1e6))).toBe(true);
});

/** The expectation under "no difference": what makes it a wager that cannot be won on average. */
test.each([0.1, 1, 3])("the wager's expectation without harm is 1 (scale %s)", scale => {
  let sum = 0;
  const step = 0.002;
  for (let z = -30; z < 30; z += step)
    sum +=
      eValueOfHarm({ difference: z, standardError: 1, degrees: 1e9 }, scale) * Math.exp((-z * z) / 2) * step;
  expect(sum / Math.sqrt(2 * Math.PI)).toBeCloseTo(1, 2);
});

test("the confidence radius is where the two-sided wager reaches 1/alpha, and wider with fewer nodes", () => {
  const known = { difference: 0, standardError: 1, degrees: 1e9 };
  const radius = confidenceRadius(known, 3, 0.05);
  const twoSided = (1 / Math.sqrt(1 + 9)) * Math.exp((radius * radius * (9 / 10)) / 2);
  expect(twoSided).toBeCloseTo(20, 6);
  expect(confidenceRadius({ ...known, degrees: 5 }, 3, 0.05)).toBeGreaterThan(radius * 1.3);
});

test("failures: one on a small canary is little, several are much, and as many elsewhere are none", () => {
  expect(eValueOfFailures({ canary: 0, control: 0 }, 0.2)).toBeCloseTo(1, 6);
  expect(eValueOfFailures({ canary: 1, control: 0 }, 0.2)).toBeLessThan(4);
  expect(eValueOfFailures({ canary: 6, control: 0 }, 0.2)).toBeGreaterThan(2_000);
  expect(eValueOfFailures({ canary: 2, control: 8 }, 0.2)).toBeLessThan(1);
});

test("the wager on failures has expectation 1 for every number of them", () => {
  const choose = (n: number, k: number) => {
    let value = 1;
    for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i;
    return value;
  };
  for (const share of [0.05, 0.2, 0.5])
    for (const n of [1, 4, 12]) {
      let sum = 0;
      for (let k = 0; k <= n; k++)
        sum +=
          choose(n, k) *
          share ** k *
          (1 - share) ** (n - k) *
          eValueOfFailures({ canary: k, control: n - k }, share);
      expect(sum).toBeCloseTo(1, 6);
    }
});
