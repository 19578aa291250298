import { expect, test } from "vitest";
import { type AccessRule, accessOf } from "./access.ts";

const rules: AccessRule[] = [
  { claim: "groups", value: "picket-admins", role: "admin", scope: {} },
  { claim: "groups", value: "shop", role: "operator", scope: { team: "shop" } },
  { claim: "email", value: "auditor@example.com", role: "viewer", scope: {} },
];

test.each([
  ["a group in a list", { groups: ["x", "shop"] }, "operator"],
  ["a group as one word", { groups: "shop" }, "operator"],
  ["the first rule that fits, not the last", { groups: ["shop", "picket-admins"] }, "admin"],
  ["an address", { email: "auditor@example.com", email_verified: true }, "viewer"],
  ["an address of which nothing is said", { email: "auditor@example.com" }, "viewer"],
  ["an address that is not verified", { email: "auditor@example.com", email_verified: false }, null],
  ["a part of a group's name", { groups: ["shop-visitors"] }, null],
  ["no group", {}, null],
  ["a group that is no text", { groups: [{ shop: true }, 7] }, null],
])("%s gives its role", (_, claims, role) => {
  expect(accessOf({ sub: "1", ...claims }, rules)?.role ?? null).toBe(role);
});

test.each([
  ["a verified address", { email: "anna@example.com", email_verified: true }, "sso:anna@example.com"],
  ["an address that is not verified", { email: "ceo@example.com", email_verified: false }, "sso:248289"],
  ["a name that the person chose", { preferred_username: "ceo" }, "sso:248289"],
])("the audit log's name, given %s", (_, claims, name) => {
  expect(accessOf({ sub: "248289", groups: ["shop"], ...claims }, rules)).toMatchObject({
    name,
    scope: { team: "shop" },
  });
});
