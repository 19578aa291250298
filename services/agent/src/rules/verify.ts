/** A bundle is trusted only after this: signature over the bytes, floor, expiry, ABI, kernel. Nothing of it is compiled
 * or loaded before. */
import { type Bundle, type ReleaseKey, verifyBundle } from "@picket/shared/bundle";
import type { RefusalCode } from "@picket/shared/contract";
import type { BundleDigest } from "@picket/shared/ids";
import { err, ok, type Result } from "@picket/shared/result";

export type Refusal = { code: RefusalCode; detail: string };

/** No fault of the version: the same may be taken later. */
export const isPassing = ({ code }: Pick<Refusal, "code">): boolean =>
  code === "download-failed" || code === "load-failed";

export function verifyAssigned(
  envelope: unknown,
  trust: {
    keys: readonly ReleaseKey[];
    threshold: number;
    floorOf: (ruleSet: string) => number;
    nowMs: number;
    abi: number;
    kernel: string;
    /** False for the last good bundle at start-up. */
    installing: boolean;
    /** What the assignment said it would be. */
    expected: { ruleSet: string; version: number; bundle: BundleDigest };
  },
): Result<{ bundle: Bundle; digest: BundleDigest }, Refusal> {
  const verified = verifyBundle(envelope, trust);
  if (!verified.ok) return verified;
  const { bundle, digest } = verified.value;
  const { expected } = trust;
  // The control plane may choose among signed versions, but what it names and what it hands out must be one thing.
  if (
    digest !== expected.bundle ||
    bundle.ruleSet !== expected.ruleSet ||
    bundle.version !== expected.version
  )
    return err({
      code: "tampered",
      detail: `assigned ${expected.ruleSet} ${expected.version} (${expected.bundle.slice(0, 12)}), was given ${bundle.ruleSet} ${bundle.version} (${digest.slice(0, 12)})`,
    });
  if (compareKernels(trust.kernel, bundle.kernelMin) < 0)
    return err({
      code: "kernel-too-old",
      detail: `needs kernel ${bundle.kernelMin}; this one is ${trust.kernel}`,
    });
  return ok(verified.value);
}

/** By major and minor: 6.18.44-fc is newer than 6.9. */
export function compareKernels(left: string, right: string): number {
  const numbers = (release: string) => release.split(/[.-]/, 2).map(part => Number.parseInt(part, 10) || 0);
  const [leftMajor = 0, leftMinor = 0] = numbers(left);
  const [rightMajor = 0, rightMinor = 0] = numbers(right);
  return leftMajor - rightMajor || leftMinor - rightMinor;
}
