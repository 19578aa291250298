import { readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { pidNamespace } from "./requirements.ts";

test("an agent in a pid namespace of its own is told to run in the host's", () => {
  expect(pidNamespace("pid:[4026531836]").state).toBe("ok");
  expect(pidNamespace("pid:[4026532201]")).toMatchObject({
    state: "missing",
    detail: expect.stringContaining("--pid=host"),
  });
});

test("where the tests run is the host's", () => {
  expect(pidNamespace(readlinkSync("/proc/self/ns/pid")).state).toBe("ok");
});
