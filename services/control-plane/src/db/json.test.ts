import { expect, test } from "vitest";
import { storable, storableJson } from "./json.ts";

test("characters that PostgreSQL cannot store become U+FFFD, all others stay", () => {
  const value = { a: "x\0y", b: ["\ud800", "ok \u{1f600}", "\udc00\ud800"], c: { d: 1, e: null } };
  expect(storable(value)).toEqual({
    a: "x\ufffdy",
    b: ["\ufffd", "ok \u{1f600}", "\ufffd\ufffd"],
    c: { d: 1, e: null },
  });
});

test("text that only looks like an escape is left alone", () => {
  const value = { sql: "\\u0000 and \\ud800", plain: 'a\nb"c' };
  expect(JSON.parse(storableJson(value))).toEqual(value);
});
