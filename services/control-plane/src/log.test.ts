import { DrizzleQueryError } from "drizzle-orm/errors";
import { expect, test } from "vitest";
import { describeError } from "./log.ts";

test("a query that fails is logged by its cause, without the values it carried", () => {
  const cause = Object.assign(new Error("duplicate key value"), {
    code: "23505",
    detail: "Key (hash)=(s3cret)",
  });
  const logged = JSON.stringify(describeError(new DrizzleQueryError("insert …", ["s3cret"], cause)));
  expect(logged).toContain("duplicate key value");
  expect(logged).toContain("23505");
  expect(logged).not.toContain("s3cret");
});

test("what is no error is logged as it is", () => {
  expect(describeError("just words")).toBe("just words");
});
