import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkPolicy, Engine, shipped } from "./engine.ts";

const node = (id: string, labels = {}) => ({ type: "Node", id, labels }) as const;

test("tens of thousands of different questions are answered, however the calls are compiled", () => {
  const engine = new Engine();
  const permissions = ["nodes.list", "nodes.show", "rollouts.start", "stops.stop"] as const;
  let allowed = 0;
  for (let i = 0; i < 25_000; i++) {
    const who = { name: `p${i}`, role: "viewer", scope: { team: "a" } } as const;
    if (engine.decide(who, permissions[i % 4]!, node(`n${i}`, { team: "a" })).allow) allowed += 1;
    // What was compiled for the calls before has to be given up.
    if (i === 20_000) for (let k = 0; k < 20; k++) new Engine();
  }
  // Of lists and stops nothing is a node.
  expect(allowed).toBe(12_500);
});

test("labels are told apart, whatever is in their keys and values", () => {
  const held = (scope: Record<string, string>, labels: Record<string, string>) =>
    shipped().decide({ name: "x", role: "viewer", scope }, "nodes.show", node("n", labels)).allow;
  expect(held({ a: "b=c" }, { a: "b=c", z: "1" })).toBe(true);
  expect(held({ a: "b=c" }, { "a=b": "c" })).toBe(false);
  expect(held({ "a=b": "c" }, { a: "b=c" })).toBe(false);
  expect(held({ team: "a" }, { team: "A" })).toBe(false);
  expect(held({ team: "" }, { other: "" })).toBe(false);
  expect(held({}, {})).toBe(true);
});

test("the shipped policies hold against the schema, and each of them can apply", () => {
  const text = readFileSync(new URL("../../policies/people.cedar", import.meta.url), "utf8");
  expect(checkPolicy(text)).toMatchObject({ ok: true });
});

test("the shipped example of separate duties is a policy that can be stored", () => {
  expect(
    checkPolicy(
      'forbid (principal in Role::"operator", action in Action::"approve", resource) unless { principal in Role::"approver" };',
    ),
  ).toEqual({ ok: true, value: { policies: 1 } });
});
