import type { Policy } from "@picket/shared/api";
import { expect, test } from "vitest";
import { isRemoved, ownPolicies } from "./policies.ts";

const policy = (name: string, version: number, text: string | null = "permit") =>
  ({ name, version, text }) as Policy;

test("each policy has its versions, newest first, in whatever order they arrive; removed ones come last", () => {
  const found = ownPolicies([
    policy("own-a", 1),
    policy("own-a", 2, null),
    policy("own-c", 1),
    policy("own-b", 1),
    policy("own-b", 3),
    policy("own-b", 2),
  ]);
  expect(found.map(({ name, versions }) => `${name} ${versions.map(each => each.version)}`)).toEqual([
    "own-b 3,2,1",
    "own-c 1",
    "own-a 2,1",
  ]);
  expect(found.map(isRemoved)).toEqual([false, false, true]);
});
