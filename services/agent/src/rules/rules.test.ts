import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import type { BundleDigest, ObjectDigest } from "@picket/shared/ids";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RuleDirectory, watchRuleDirectory } from "./directory.ts";
import { RuleStore } from "./store.ts";
import { compareKernels, verifyAssigned } from "./verify.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-rules-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");

describe("verification", () => {
  const key = generateKeyPairSync("ed25519").privateKey;
  const bytes = (change = {}) =>
    Buffer.from(
      JSON.stringify({
        format: 1,
        ruleSet: "shop",
        version: 5,
        ruleText: "…",
        objects: { slot: "a".repeat(64) },
        abi: 1,
        kernelMin: "6.1",
        floor: 3,
        createdAt: "2026-05-01T00:00:00Z",
        expiresAt: "2026-07-01T00:00:00Z",
        ...change,
      }),
    );
  const check = (payload: Buffer, expected: object, kernel = "6.18.44") =>
    verifyAssigned(signBundle(payload, [key]), {
      keys: [releaseKey(key)],
      threshold: 1,
      floorOf: () => 0,
      nowMs: Date.parse("2026-06-01T00:00:00Z"),
      abi: 1,
      kernel,
      installing: true,
      expected: { ruleSet: "shop", version: 5, bundle: sha256(payload) as BundleDigest, ...expected },
    });

  test("the assigned bundle is accepted", () => expect(check(bytes(), {}).ok).toBe(true));

  const others: [why: string, payload: Buffer, expected: object, kernel: string, code: string][] = [
    ["another version than assigned", bytes({ version: 4 }), {}, "6.18", "tampered"],
    ["another rule set than assigned", bytes({ ruleSet: "blog" }), {}, "6.18", "tampered"],
    ["another digest than assigned", bytes(), { bundle: "b".repeat(64) }, "6.18", "tampered"],
    ["a newer kernel needed", bytes({ kernelMin: "6.12" }), {}, "6.9.1", "kernel-too-old"],
  ];
  test.each(others)("a signed bundle is refused: %s", (_, payload, expected, kernel, code) => {
    expect(check(payload, expected, kernel)).toMatchObject({ ok: false, error: { code } });
  });

  test.each([
    ["6.18.44-fc-v669", "6.9", 1],
    ["6.1.192", "6.1", 0],
    ["5.15.0", "6.1", -1],
  ])("kernel %s against %s", (left, right, sign) =>
    expect(Math.sign(compareKernels(left, right))).toBe(sign),
  );
});

describe("store", () => {
  test("a floor only rises, and stays over a restart", () => {
    const store = new RuleStore(directory);
    store.raiseFloor("shop", 5);
    store.raiseFloor("shop", 2);
    expect(new RuleStore(directory).floorOf("shop")).toBe(5);
    expect(store.floorOf("blog")).toBe(0);
  });

  test("an object that was changed on disk is not given out", () => {
    const store = new RuleStore(directory);
    const bytes = Buffer.from("\x7fELF…");
    const digest = sha256(bytes) as ObjectDigest;
    store.keepObject(digest, bytes);
    expect(store.object(digest)).toEqual(bytes);
    const path = join(directory, "rules", "objects", `${digest}.o`);
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from("x")]));
    expect(store.object(digest)).toBeNull();
  });
});

describe("directory", () => {
  const seen: RuleDirectory[] = [];
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise(resolve => setTimeout(resolve, 10));
  };
  const start = () => {
    seen.length = 0;
    const errors: string[] = [];
    const stop = new AbortController();
    const stopped = watchRuleDirectory({
      directory,
      signal: stop.signal,
      changed: async content => void seen.push(content),
      failed: error => errors.push(error.message),
    });
    return {
      errors,
      stop: async () => {
        stop.abort();
        await stopped;
      },
    };
  };

  test("gives what is there at once and every change after it; hidden and other files are not rules", async () => {
    writeFileSync(join(directory, "a.yaml"), "one");
    writeFileSync(join(directory, ".a.yaml.swp"), "no");
    writeFileSync(join(directory, "notes.txt"), "no");
    const watching = start();
    await until(() => seen.length === 1);
    writeFileSync(join(directory, "a.yaml"), "two");
    writeFileSync(join(directory, "b.yml"), "three");
    await until(() => seen.at(-1)!.files.length === 2 && seen.at(-1)!.files[0]!.text === "two");
    expect(seen[0]!.files).toEqual([{ name: "a.yaml", text: "one" }]);
    rmSync(join(directory, "a.yaml"));
    await until(() => seen.at(-1)!.files.length === 1);
    await watching.stop();
    expect(watching.errors).toEqual([]);
  });

  test("a directory that is not there is said once and found when it comes", async () => {
    rmSync(directory, { recursive: true });
    const watching = start();
    await until(() => watching.errors.length === 1);
    expect(watching.errors[0]).toContain(directory);
    await watching.stop();
  });
});
