import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
// @ts-expect-error The bootstrap is plain JavaScript: it runs before anything is built.
import { dependenciesAreCurrent, linesOfFailedPackage } from "./build.mjs";
// @ts-expect-error As above.
import { unmetRequirements } from "./host.mjs";
import { createScreen } from "./screen.mjs";
// @ts-expect-error As above.
import { count } from "./test.mjs";

const host = {
  node: "20.19.0",
  execPath: "/usr/bin/node",
  platform: "linux",
  arch: "x64",
  kernel: "6.1.0",
  distribution: "Debian GNU/Linux 12",
  hasApt: true,
  hasBtf: true,
};

for (const [difference, fatal, message] of [
  [{ node: "20.18.3" }, true, "needs Node 20.19"],
  [{ node: "18.20.0" }, true, "needs Node 20.19"],
  [{ arch: "arm64" }, true, "Linux x64; this is linux arm64"],
  [{ platform: "darwin" }, true, "Linux x64"],
  [{ hasApt: false, distribution: "Fedora 42" }, false, "This is Fedora 42, without apt-get"],
  [{ hasBtf: false }, false, "CONFIG_DEBUG_INFO_BTF"],
] as const) {
  test(`a host with ${JSON.stringify(difference)} is ${fatal ? "refused" : "warned about"}`, () => {
    const unmet = unmetRequirements({ ...host, ...difference });
    expect(unmet).toEqual([{ fatal, text: expect.stringContaining(message) }]);
  });
}

test("Debian with Node 20.19 or 24 and BTF lacks nothing", () => {
  expect(unmetRequirements(host)).toEqual([]);
  expect(unmetRequirements({ ...host, node: "24.1.0" })).toEqual([]);
});

const lock = { "node_modules/hono": { version: "4.13.19", integrity: "sha512-a" } };
for (const [name, wanted, held, current] of [
  ["nothing is installed", lock, undefined, false],
  ["the lock is what is installed", lock, lock, true],
  ["a version changed", lock, { "node_modules/hono": { version: "4.13.18", integrity: "sha512-b" } }, false],
  [
    "the contents changed under the same version",
    lock,
    { "node_modules/hono": { version: "4.13.19", integrity: "sha512-b" } },
    false,
  ],
  ["a package was added", { ...lock, "node_modules/zod": { version: "4.6.7" } }, lock, false],
  ["a package was removed", lock, { ...lock, "node_modules/zod": { version: "4.6.7" } }, false],
  [
    "another platform's package is absent",
    { ...lock, "node_modules/x-darwin": { version: "1.0.0", optional: true } },
    lock,
    true,
  ],
  ["only our own packages changed", { ...lock, "": { version: "9" }, infra: { version: "2" } }, lock, true],
] as const) {
  test(`npm ci ${current ? "is skipped" : "runs"} when ${name}`, () =>
    expect(dependenciesAreCurrent(wanted, held)).toBe(current));
}

const file = (status: string, tests: number) => ({
  status,
  assertionResults: Array.from({ length: tests }, () => ({})),
});
for (const [name, results, code, line] of [
  [
    "all pass",
    { numPassedTests: 3, numFailedTests: 0, testResults: [file("passed", 3)] },
    0,
    { passed: 3, failed: 0 },
  ],
  [
    "one fails",
    { numPassedTests: 2, numFailedTests: 1, testResults: [file("failed", 3)] },
    1,
    { passed: 2, failed: 1 },
  ],
  [
    "a file does not load",
    { numPassedTests: 2, numFailedTests: 0, testResults: [file("passed", 2), file("failed", 0)] },
    1,
    { passed: 2, failed: 1 },
  ],
  [
    "an error lies outside every test",
    { numPassedTests: 2, numFailedTests: 0, testResults: [file("passed", 2)] },
    1,
    { passed: 2, failed: 1 },
  ],
  ["the runner crashed", undefined, 1, { passed: 0, failed: 1 }],
] as const) {
  test(`the count is right when ${name}`, () => expect(count(results, code)).toEqual(line));
}

test("without a terminal a step leaves one plain line, and a failed one is marked and rethrown", async () => {
  const out = new PassThrough();
  let clock = 0;
  const screen = createScreen({ out, isTTY: false, now: () => clock });
  await screen.step("Build", () => {
    clock = 2_340;
  });
  await expect(
    screen.step("Load", () => {
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  expect(String(out.read())).toBe("✓ Build 2.3 s\n✗ Load 0.0 s\n");
});

test("of a failed build only the failed package's lines are shown", () => {
  const lines = [
    "@picket/a:build: fine",
    "@picket/b:build: error: line 3",
    "@picket/b#build:  ERROR  command exited (2)",
    "@picket/a:build: more",
  ];
  expect(linesOfFailedPackage(lines)).toEqual(["@picket/b does not build:", "error: line 3"]);
});
