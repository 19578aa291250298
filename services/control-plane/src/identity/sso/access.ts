/**
 * From what the provider says of a person to what they may do here: the first rule that fits, of the fleet's own
 * configuration. No rule, no access. Pure: who is let in can be read from the rules alone.
 */
import { Role } from "@picket/shared/api";
import { Labels } from "@picket/shared/vocabulary";
import { z } from "zod";
import type { Person } from "../../db/person.ts";

export const AccessRule = z.strictObject({
  /** A claim of the ID token or of the user info, such as `groups` or `email`. */
  claim: z.string().min(1).max(200),
  /** What it must be, or hold where it is a list. */
  value: z.string().min(1).max(500),
  role: Role,
  scope: Labels.default({}),
});
export type AccessRule = z.infer<typeof AccessRule>;
export const AccessRules = z.array(AccessRule).min(1).max(500);

export type Claims = { readonly sub: string; readonly [claim: string]: unknown };

/** Names of API tokens cannot begin so. */
export const SSO_PREFIX = "sso:";

export function accessOf(claims: Claims, rules: readonly AccessRule[]): Person | null {
  const rule = rules.find(({ claim, value }) => holds(claims, claim, value));
  return rule
    ? { name: SSO_PREFIX + nameOf(claims), subject: claims.sub, role: rule.role, scope: rule.scope }
    : null;
}

function holds(claims: Claims, claim: string, value: string): boolean {
  // An address that the provider has not verified is one that somebody typed in.
  if (claim === "email" && claims.email_verified === false) return false;
  const said = claims[claim];
  return Array.isArray(said) ? said.includes(value) : said === value;
}

/** Other names may be chosen by the person, and be another's. */
const nameOf = ({ sub, email, email_verified }: Claims): string =>
  typeof email === "string" && email_verified === true && email.length <= 100 ? email : sub;
