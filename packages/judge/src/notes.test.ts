import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { judge } from "./judge.ts";
import { defaultSession } from "./session.ts";

const core = compiled("");
const judged = (sql: string) => judge(core, { sql, dialect: "mysql", session: defaultSession("mysql") });

describe("a comment that is a person's note or a tool's tag is no injection; one that swallows or splits a statement is", () => {
  for (const [verdict, sql] of [
    ["benign", "SELECT a FROM t WHERE b = 1 -- the people who work here"],
    ["benign", "SELECT a FROM t WHERE b = 1 -- only new ones\nAND c = 2 -- also late\nORDER BY d"],
    ["benign", "SELECT a FROM t WHERE b = 'x' /*application:Shop,controller:users*/ LIMIT 1"],
    ["benign", "SELECT a FROM t WHERE b = 'x' LIMIT 1 /*framework='x',route='%2Fa'*/"],
    ["benign", "SELECT a FROM t WHERE b = 1 /* by name (rooms too), 50% of all */ GROUP BY a"],
    ["attack", "SELECT a FROM t WHERE b = 1 /* ) AND (visible */ OR c = 2"],
    ["attack", "SELECT a FROM t WHERE b = 'x' -- ' AND c = 1"],
    ["attack", "SELECT a FROM t WHERE b = 1 -- ORDER BY d"],
    ["attack", "SELECT a FROM t WHERE b = 1 -- AND visible"],
    ["attack", "SELECT a FROM t WHERE b = 1 -- "],
    ["attack", "SELECT a FROM t WHERE b = 1/* some words */OR c = 2"],
    ["attack", "SELECT a FROM t WHERE b = 'x' /*' AND c='*/ OR d = 2"],
  ] as const)
    test(`${verdict}: ${sql}`, () => expect(judged(sql).verdict).toBe(verdict));

  test("it turns on the comment's text, which is no part of the shape, so it is not remembered", () => {
    expect(judged("SELECT a FROM t WHERE b = 1 -- just a note").holdsForShape).toBe(false);
    expect(judged("SELECT a FROM t WHERE b = 1").holdsForShape).toBe(true);
  });
});
