import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { explain } from "./explain.ts";
import { judge } from "./judge.ts";
import type { Context } from "./match.ts";
import { defaultSession, UNKNOWN_SESSION } from "./session.ts";

const set = compiled(`  core: false
  shapes: [{ id: ping, action: allow, sql: SELECT 1 }]
  rules:
    - { id: always, title: T, severity: high, action: block, reason: R, pattern: OR $X = $X }
    - { id: hint, title: T, severity: low, action: alert, reason: R, regex: 'from audit' }
    - { id: drops, title: T, severity: high, action: block, reason: R, pattern: DROP TABLE, match: { user: app } }`);
const of = (sql: string, context: Context = {}, session = defaultSession("pg")) =>
  explain(set, { sql, dialect: "pg", session, context });

describe("an explanation", () => {
  for (const [sql, context, verdict, because] of [
    ["SELECT 1", {}, "benign", /allows this shape \(ping\)/],
    ["SELECT 2 FROM t", {}, "benign", /^no rule is met$/],
    ["SELECT a FROM t WHERE b OR 1=1", {}, "attack", /^always is met, of severity high/],
    ["SELECT a FROM audit", {}, "probe", /only rules of severity low/],
    ["DROP TABLE a", { user: "migrator" }, "benign", /about other connections/],
    ["SELECT 'a", {}, "probe", /ends inside a quote/],
    ["DO 'x'", {}, "benign", /no rule is met; the kernel cannot know its shape/],
  ] as const)
    test(`of ${sql} on ${JSON.stringify(context)} says ${because}`, () => {
      const explanation = of(sql, context);
      expect(explanation.judgement.verdict).toBe(verdict);
      expect(explanation.because).toMatch(because);
    });

  test("marks what each rule met by its bytes, also behind characters of several", () => {
    const { met } = of("SELECT 'ö' FROM t WHERE b OR 1 = 1 AND c");
    expect(met).toMatchObject([{ id: "always", applies: "yes", over: "tokens", text: "OR 1 = 1" }]);
  });

  test("shows a rule about other connections, and one of which that is not known", () => {
    expect(of("DROP TABLE a", { user: "migrator" }).met).toMatchObject([{ id: "drops", applies: "no" }]);
    expect(of("DROP TABLE a").met).toMatchObject([
      { id: "drops", applies: "unknown", action: "alert", asks: ["user"] },
    ]);
  });

  test("says which facts of the session are not known", () => {
    const known = (session: number) => of("SELECT 2", {}, session).lexed.session.map(({ value }) => value);
    expect(known(UNKNOWN_SESSION)).toEqual(Array(2).fill("not known: each possibility is judged"));
    expect(known(defaultSession("pg"))).toEqual(["is a character", "no character hides a quote"]);
  });

  test("holds the judge's own judgement", () => {
    const statement = {
      sql: "SELECT a FROM t WHERE b OR 1=1",
      dialect: "pg",
      session: defaultSession("pg"),
    } as const;
    expect(explain(set, statement).judgement).toEqual(judge(set, statement));
  });
});
