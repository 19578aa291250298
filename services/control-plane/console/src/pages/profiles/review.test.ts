import type { ProfileOfferDetails, SignedProfileRow } from "@picket/shared/api";
import type { TemplateExport } from "@picket/shared/profile";
import { expect, test } from "vitest";
import { commandsOf, fileOf, inForceFor, newest, reviewed } from "./review.ts";

const template = (words: string, over: Partial<TemplateExport> = {}) =>
  ({ words, rules: [], count: 1, shapes: [], ...over }) as unknown as TemplateExport;

test("what is new comes first, and of that what a rule matched; then what grew; what the offer lacks; the rest", () => {
  const offer = {
    profile: {
      templates: [
        template("known"),
        template("often", { count: 9 }),
        template("odd", { rules: ["r"] }),
        template("grew"),
      ],
    },
    added: [1, 2],
    changed: [3],
    missing: [template("gone")],
  } as unknown as ProfileOfferDetails;
  expect(reviewed(offer).map(row => `${row.state} ${row.template.words}`)).toEqual([
    "new odd",
    "new often",
    "changed grew",
    "missing gone",
    "in-force known",
  ]);
});

for (const [workload, file] of [
  ["shop.service", "shop.service"],
  ["$(reboot); x", "reboot-x"],
  ["../../etc/passwd", "etc-passwd"],
  ["-rf", "rf"],
  ["商店", "profile"],
] as const)
  test(`the file for ${workload} is ${file}: a host's name is never a command`, () =>
    expect(fileOf(workload)).toBe(file));

test("the commands name the offer, what is left out, and the version after the one in force", () => {
  const offer = { id: "3f2a", workload: "shop.service", inForce: 2 } as ProfileOfferDetails;
  expect(commandsOf(offer, ["9c1e02aa"])).toEqual({
    review: "picket profiles review 3f2a --remove 9c1e02aa --out shop.service.json",
    sign: "picket profiles sign shop.service.json --version 3",
    push: "picket profiles push shop.service.signed.json",
  });
  expect(commandsOf({ ...offer, inForce: null }, []).sign).toContain("--version 1");
});

test("in force is the newest version of this workload, user and database, and of no other", () => {
  const row = (database: string, version: number) =>
    ({ workload: "w", databaseUser: "u", database, version }) as SignedProfileRow;
  const signed = newest([row("a", 2), row("a", 10), row("b", 3)]);
  expect(inForceFor({ workload: "w", databaseUser: "u", database: "a" }, signed)?.version).toBe(10);
  expect(inForceFor({ workload: "w", databaseUser: "u", database: "c" }, signed)).toBe(undefined);
});
