/**
 * Tests that may be looked at all the time. An e-value is a wager against "no difference": its expectation is at
 * most 1 whenever one stops, so that it exceeds 1/α with a probability of at most α over ALL looks together (Ville
 * 1939). The wager is the mixture sequential probability ratio test: the likelihood ratio of an estimate that is
 * normal with a known standard error, averaged over effects drawn from N(0, scale²) (Robbins 1970, Johari et al.
 * 2015). Estimates of few nodes are made normal first, so that their unknown variance is paid for.
 */

/** Φ(x), to about 1e-12: the series near 0, the continued fraction in the tail (Abramowitz & Stegun 26.2.10, .14). */
export function normalCdf(x: number): number {
  if (x < 0) return 1 - normalCdf(-x);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x < 4) {
    let term = x;
    let sum = x;
    for (let k = 1; Math.abs(term) > 1e-16 * Math.abs(sum) && k < 200; k++) {
      term *= (x * x) / (2 * k + 1);
      sum += term;
    }
    return 0.5 + density * sum;
  }
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / (x + fraction);
  return 1 - density / (x + fraction);
}

/** A t-distributed value as the normal one that is as unlikely (Wallace 1959; good to some 0.02 from 3 degrees on). */
export function normalFromT(t: number, degrees: number): number {
  const scale = (8 * degrees + 1) / (8 * degrees + 3);
  return Math.sign(t) * scale * Math.sqrt(degrees * Math.log1p((t * t) / degrees));
}

export interface Estimate {
  /** Canary minus control. */
  difference: number;
  standardError: number;
  /** Of the variance behind the standard error. */
  degrees: number;
}

/** The wager that the canary is worse (a positive difference), with effects of about `scale` in mind. */
export function eValueOfHarm({ difference, standardError, degrees }: Estimate, scale: number): number {
  const z = normalFromT(difference / standardError, degrees);
  const v = (scale / standardError) ** 2;
  const shrink = v / (1 + v);
  return finite((2 / Math.sqrt(1 + v)) * Math.exp((z * z * shrink) / 2) * normalCdf(z * Math.sqrt(shrink)));
}

/** Half the width of the confidence sequence: the true difference lies within it at every look, but for `alpha`. */
export function confidenceRadius({ standardError, degrees }: Estimate, scale: number, alpha: number): number {
  const v = (scale / standardError) ** 2;
  const z = Math.sqrt((1 + 1 / v) * (2 * Math.log(1 / alpha) + Math.log1p(v)));
  // The t value whose normal one is z: Wallace's formula the other way round.
  const scaled = z / ((8 * degrees + 1) / (8 * degrees + 3));
  return standardError * Math.sqrt(degrees * Math.expm1((scaled * scaled) / degrees));
}

const GRID = 200;

/**
 * The wager that nodes of the canary fail more often than others, exact for however few failures: without harm each
 * failure hits the canary with the probability of its share of the watched time. Averaged over all higher ones.
 */
export function eValueOfFailures(failed: { canary: number; control: number }, canaryShare: number): number {
  if (canaryShare <= 0 || canaryShare >= 1) return 1;
  let sum = 0;
  for (let i = 0; i < GRID; i++) {
    const q = canaryShare + ((1 - canaryShare) * (i + 0.5)) / GRID;
    sum += Math.exp(
      failed.canary * Math.log(q / canaryShare) +
        (failed.control === 0 ? 0 : failed.control * Math.log((1 - q) / (1 - canaryShare))),
    );
  }
  return finite(sum / GRID);
}

/** JSON has no infinity, and beyond any doubt is enough. */
const finite = (eValue: number): number => Math.min(eValue, 1e300);
