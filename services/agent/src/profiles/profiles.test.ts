import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Drift } from "@picket/judge/settings";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Profiles } from "./profiles.ts";

const SHOP = { workload: "shop", databaseUser: "app", database: "orders" };
const HOUR_MS = 3_600_000;
const drift = (change: Partial<Drift> = {}): Drift => ({
  mode: "enforce",
  locked: false,
  learnForMs: HOUR_MS,
  learnStatements: 2,
  ...change,
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-profiles-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  ["neither time nor statements", 0, 0, {}, "learn"],
  ["the time, but too few statements", HOUR_MS, 1, {}, "learn"],
  ["the statements, but not the time", HOUR_MS - 1, 2, {}, "learn"],
  ["both", HOUR_MS, 2, {}, "enforce"],
  ["both, and the rule set only learns", HOUR_MS, 2, { mode: "learn" }, "learn"],
  ["locked at once", 0, 0, { locked: true }, "enforce"],
] as const)("with %s a profile is in its phase", (_what, afterMs, statements, change, mode) => {
  const profiles = new Profiles(directory);
  const profile = profiles.of(SHOP, drift(), 0)!;
  for (let i = 0; i < statements; i++) profiles.counted(profile);
  expect(profiles.of(SHOP, drift(change), afterMs)?.mode).toBe(mode);
});

test("the phase goes on where it was after a restart", () => {
  const before = new Profiles(directory);
  const profile = before.of(SHOP, drift(), 0)!;
  before.counted(profile);
  before.counted(profile);
  before.save();
  const after = new Profiles(directory);
  expect(after.of(SHOP, drift(), HOUR_MS)?.mode).toBe("enforce");
  expect(after.list()).toMatchObject([{ ...SHOP, statements: 2, since: "1970-01-01T00:00:00.000Z" }]);
});

test("connections beyond the most profiles are counted and judged without one", () => {
  const profiles = new Profiles(directory);
  for (let i = 0; i < 256; i++)
    expect(profiles.of({ ...SHOP, database: `d${i}` }, drift(), 0)).not.toBeNull();
  expect(profiles.of({ ...SHOP, database: "one more" }, drift(), 0)).toBeNull();
  expect(profiles.overflowed).toBe(1);
});

test("what is forgotten is gone from the disk, too", () => {
  const profiles = new Profiles(directory);
  profiles.of(SHOP, drift(), 0);
  profiles.save();
  expect(profiles.forget(SHOP)).toBe(true);
  expect(profiles.forget(SHOP)).toBe(false);
  expect(readdirSync(join(directory, "profiles"))).toEqual([]);
});

test("an import that is no profile is refused with what is wrong", () => {
  expect(new Profiles(directory).put({ kind: "something" }, 0)).toMatch(/kind|workload/);
});
