import { describe, expect, test } from "vitest";
import { compiled } from "../test/support.ts";
import { fingerprints } from "./compile.ts";
import { judge } from "./judge.ts";
import { type Context, globFits } from "./match.ts";
import { defaultSession } from "./session.ts";
import { settingsFor } from "./settings.ts";

describe("a glob", () => {
  for (const [glob, value, fits] of [
    ["shop", "shop", true],
    ["shop", "shop2", false],
    ["shop*", "shop", true],
    ["*.service", "shop.service", true],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["?", "", false],
    ["r?ad", "read", true],
    ["*", "", true],
    ["a*", "b", false],
  ] as const)
    test(`${glob} ${fits ? "fits" : "does not fit"} "${value}"`, () =>
      expect(globFits(glob, value)).toBe(fits));

  test("made to tire takes as many steps as both lengths multiplied, not more", () => {
    expect(globFits(`${"*a".repeat(100)}b`, "a".repeat(20_000))).toBe(false);
  });
});

const drop = "DROP TABLE carts";
const rule = (match: string, action = "block") =>
  compiled(`  core: false
  rules:
    - { id: no-drop, title: T, severity: high, action: ${action}, reason: R, tokens: START drop table, match: ${match} }`);

describe("a rule with match", () => {
  for (const [match, context, verdict, action] of [
    ["{ user: app }", { user: "app" }, "attack", "block"],
    ["{ user: app }", { user: "migrator" }, "benign", "observe"],
    ["{ user: [app, web*] }", { user: "web-7" }, "attack", "block"],
    ["{ user: app, database: shop }", { user: "app", database: "logs" }, "benign", "observe"],
    ["{ user: app, database: shop }", { user: "app", database: "shop" }, "attack", "block"],
    [
      "{ workload: shop*, except: { user: migrator } }",
      { workload: "shop.service", user: "app" },
      "attack",
      "block",
    ],
    [
      "{ workload: shop*, except: { user: migrator } }",
      { workload: "shop.service", user: "migrator" },
      "benign",
      "observe",
    ],
    ["{ except: { user: migrator } }", { user: "app" }, "attack", "block"],
    ["{ labels: { tier: prod } }", { labels: { tier: "prod" } }, "attack", "block"],
    ["{ labels: { tier: prod } }", { labels: { tier: "test" } }, "benign", "observe"],
    ["{ labels: { tier: prod } }", { labels: {} }, "benign", "observe"],
    ["{ protocol: mysql }", {}, "attack", "block"],
    ["{ protocol: pg }", {}, "benign", "observe"],
    // Not known whether it is meant: told of, never blocked.
    ["{ user: app }", {}, "attack", "alert"],
    ["{ user: app, database: shop }", { user: "app" }, "attack", "alert"],
    ["{ user: app, database: shop }", { database: "logs" }, "benign", "observe"],
    ["{ except: { user: migrator } }", {}, "attack", "alert"],
    ["{ labels: { tier: prod } }", {}, "attack", "alert"],
  ] as [string, Context, string, string][])
    test(`${match} on ${JSON.stringify(context)}: ${verdict}, ${action}`, () => {
      expect(
        judge(rule(match), { sql: drop, dialect: "mysql", session: defaultSession("mysql"), context }),
      ).toMatchObject({ verdict, action });
    });

  for (const [match, context, holdsForShape] of [
    ["{ user: app }", { user: "app" }, false],
    ["{ user: app }", { user: "migrator" }, false],
    ["{ protocol: mysql }", { user: "migrator" }, true],
  ] as [string, Context, boolean][])
    test(`${match}: what it says of ${JSON.stringify(context)} is ${holdsForShape ? "" : "not "}remembered by shape`, () => {
      const statement = { dialect: "mysql", session: defaultSession("mysql"), context } as const;
      expect(judge(rule(match), { sql: drop, ...statement }).holdsForShape).toBe(holdsForShape);
      // No rule is met by it on any connection.
      expect(judge(rule(match), { sql: "SELECT 1", ...statement }).holdsForShape).toBe(true);
    });
});

describe("a rule set with match", () => {
  const set = compiled(
    "  match: { workload: shop* }\n  shapes: [{ id: ping, action: block, sql: SELECT 1 }]",
  );
  const graft = "SELECT a FROM b WHERE c = 1 UNION SELECT 1, 2 FROM d";
  test("is about these connections only, core rules and shapes included", () => {
    const at = (sql: string, workload: string) =>
      judge(set, { sql, dialect: "pg", session: defaultSession("pg"), context: { workload } }).verdict;
    expect([
      at(graft, "shop-1"),
      at(graft, "blog"),
      at("SELECT 1", "shop-1"),
      at("SELECT 1", "blog"),
    ]).toEqual(["attack", "benign", "attack", "benign"]);
  });
  test("puts none of its shapes into the kernel, which asks for no connection", () => {
    expect(fingerprints(set, { key: 3n, start: 5n })).toEqual([]);
  });
});

test("one shape may be allowed for one user and blocked for all others", () => {
  const set = compiled(`  core: false
  shapes:
    - { id: report, action: allow, sql: SELECT sum(a) FROM t, match: { user: reports } }
    - { id: nobody-else, action: block, sql: SELECT sum(b) FROM t, match: { except: { user: reports } } }
    - { id: no-sums, action: block, sql: SELECT sum(a) FROM t, match: { except: { user: reports } } }`);
  const at = (context: Context) =>
    judge(set, { sql: "SELECT sum(a) FROM t", dialect: "pg", session: defaultSession("pg"), context });
  expect(at({ user: "reports" })).toMatchObject({ verdict: "benign", rules: ["report"] });
  expect(at({ user: "app" })).toMatchObject({ verdict: "attack", action: "block", rules: ["no-sums"] });
  expect(at({})).toMatchObject({ verdict: "attack", action: "alert", rules: ["no-sums"] });
});

test("settings: the first profile that surely fits decides, and says only what differs", () => {
  const { settings } = compiled(`  core: false
  drift: { mode: alert, learnFor: 2h }
  hold: { mode: on, deadline: 20ms, maxHeldBytes: 64KiB }
  profiles:
    - { match: { user: migrator }, hold: { mode: off } }
    - { match: { workload: shop*, user: "*" }, drift: { mode: enforce, locked: true }, hold: { onFailure: closed, consult: never } }
    - { match: { workload: shop* }, drift: { mode: learn } }`);
  const all = { mode: "alert", locked: false, learnForMs: 7_200_000, learnStatements: 10_000 };
  const hold = { mode: "on", deadlineMs: 20, onFailure: "open", maxHeldBytes: 65_536, consult: "always" };
  expect(settingsFor(settings, {})).toEqual({ drift: all, hold });
  expect(settingsFor(settings, { user: "migrator", workload: "shop" })).toEqual({
    drift: all,
    hold: { ...hold, mode: "off" },
  });
  expect(settingsFor(settings, { user: "app", workload: "shop" })).toEqual({
    drift: { ...all, mode: "enforce", locked: true },
    hold: { ...hold, onFailure: "closed", consult: "never" },
  });
  // The user is not known: a profile that asks for it does not surely fit.
  expect(settingsFor(settings, { workload: "shop" })).toEqual({ drift: { ...all, mode: "learn" }, hold });
});
