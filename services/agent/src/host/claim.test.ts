import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claim } from "./claim.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-claims-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const place = (instance: string, cgroup: string, pins = join(directory, "pins", instance)) =>
  claim({ instance, cgroup, pins, directory, cgroupExists: path => !path.includes("gone") });
/** Rewrites a claim as that of a process that has ended. */
const kill = (instance: string) => {
  const path = join(directory, `${instance}.json`);
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), startTicks: 1 }));
};

test.each([
  ["the same cgroup", "/a", "/a"],
  ["a cgroup below", "/a", "/a/b"],
  ["a cgroup above", "/a/b", "/a"],
  ["the root", "/a", "/"],
])("a living agent on %s is named and refused", (_, first, second) => {
  place("one", first);
  expect(() => place("two", second)).toThrow(/agent "one" \(pid \d+\) watches the cgroup \/a.*overlaps/);
});

test("agents beside each other get along", () => {
  place("one", "/a");
  place("two", "/ab");
  expect(readdirSync(directory).sort()).toEqual(["one.json", "two.json"]);
});

test("a dead agent whose programs still run is named with how to take them away", () => {
  place("one", "/a");
  kill("one");
  mkdirSync(join(directory, "pins", "one", "links"), { recursive: true });
  expect(() => place("two", "/a")).toThrow(/programs of agent "one" still run.*PICKET_INSTANCE=one/);
});

test("a dead agent that left nothing is forgotten", () => {
  place("one", "/a");
  kill("one");
  place("two", "/a");
  expect(readdirSync(directory)).toEqual(["two.json"]);
});

test("a dead agent whose cgroup is gone is tidied up, wherever it was", () => {
  place("one", "/gone");
  kill("one");
  place("two", "/elsewhere");
  expect(readdirSync(directory)).toEqual(["two.json"]);
});

test("the next agent of the same name learns what its predecessor ran", () => {
  const running = {
    abi: 1,
    dispatcher: "d",
    hashKey: "k",
    hashStart: "s",
    ordinal: 7,
    stable: { slot: 2, ordinal: 3, parts: "p" },
  };
  place("one", "/a").write(running);
  kill("one");
  expect(place("one", "/a").earlier?.running).toEqual(running);
});

test("of a predecessor of another version it is known who it was, not what it ran", () => {
  place("one", "/a");
  const path = join(directory, "one.json");
  const claim = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...claim, startTicks: 1, running: { version: 0 }, more: true }));
  expect(place("one", "/a").earlier).toMatchObject({ instance: "one", running: null });
});

test("a released claim leaves no file", () => {
  place("one", "/a").release();
  expect(readdirSync(directory)).toEqual([]);
});
