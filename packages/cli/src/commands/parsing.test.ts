import { describe, expect, test } from "vitest";
import { parseVersioned, pick } from "../command.ts";
import { selectorOf } from "./guard.ts";
import { parseCap, parseSteps } from "./rollout-steps.ts";

describe("what `guard` is told", () => {
  for (const [text, selector] of [
    ["1234", { kind: "pid", pid: 1234 }],
    ["/system.slice/shop.service", { kind: "cgroup", path: "/system.slice/shop.service" }],
    ["shop.service", { kind: "unit", unit: "shop.service" }],
    ["shop@1", { kind: "unit", unit: "shop@1.service" }],
    ["user-1000.slice", { kind: "unit", unit: "user-1000.slice" }],
  ] as const)
    test(`${text} is a ${selector.kind}`, () => expect(selectorOf(text)).toEqual(selector));
  for (const text of ["0", "99999999", "a b", "../x", "shop;rm"])
    test(`${text} is refused`, () => expect(() => selectorOf(text)).toThrow());
});

describe("steps of a rollout", () => {
  const steps = (text: string, share?: string) =>
    parseSteps({ steps: text, scope: "all", ...(share ? { share } : {}) });
  test("percent and soak, the sign optional", () =>
    expect(steps("5%:10m, 100:0s")).toEqual([
      { percent: 5, soak: "10m", scope: "all" },
      { percent: 100, soak: "0s", scope: "all" },
    ]));
  test("the share of processes, for all steps or for one", () =>
    expect(steps("20%:1m:50%,100%:1m", "80")).toEqual([
      { percent: 20, soak: "1m", scope: "all", share: 50 },
      { percent: 100, soak: "1m", scope: "all", share: 80 },
    ]));
  for (const text of ["", "20%", "20%:1m:2:3", "x:1m", "1e2:1m", "-5:1m"])
    test(`"${text}" is refused`, () => expect(() => steps(text)).toThrow(/no (step|percentage)/));
});

test("a step that a person lets begin", () =>
  expect(parseSteps({ steps: "20%:1m,100%:1h:50%:approve", scope: "all" })[1]).toEqual({
    percent: 100,
    soak: "1h",
    scope: "all",
    share: 50,
    requireApproval: true,
  }));

test.each([
  ["zone:2", { label: "zone", nodes: 2 }],
  ["zone:12.5%", { label: "zone", percent: 12.5 }],
])("a cap: %s", (text, cap) => expect(parseCap(text)).toEqual(cap));
test.each(["", "zone", "zone:", ":2", "zone:2:3", "zone:-1", "zone:many"])('"%s" is no cap', text =>
  expect(() => parseCap(text)).toThrow("is no cap"),
);

test("a version is a name, with or without a number", () => {
  expect(parseVersioned("shop@3")).toEqual({ name: "shop", version: 3 });
  expect(parseVersioned("shop@v3")).toEqual({ name: "shop", version: 3 });
  expect(parseVersioned("shop")).toEqual({ name: "shop", version: null });
  expect(() => parseVersioned("Shop@3")).toThrow("no rule set");
  expect(() => parseVersioned("shop@x")).toThrow("no rule set");
});

test("the beginning of an id is enough when it fits one, and never fewer than four characters", () => {
  const items = [{ id: "abcd-1" }, { id: "abcd-2" }, { id: "efgh-3" }];
  expect(pick(items, "efgh", "alert").id).toBe("efgh-3");
  expect(pick(items, "abcd-1", "alert").id).toBe("abcd-1");
  expect(() => pick(items, "abcd", "alert")).toThrow("fits 2 alerts");
  expect(() => pick(items, "efg", "alert")).toThrow("no alert");
});
