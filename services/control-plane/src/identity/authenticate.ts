/** Who holds this token or session. Null: nobody known. */
import { and, eq, gt, isNull, lt, or } from "drizzle-orm";
import { type Actor, now, type Services } from "../context.ts";
import { apiTokens, sessions } from "../db/schema.ts";
import { hashToken } from "./secrets.ts";
import { stillVouchedFor } from "./sso/session.ts";

/** When a token was used last is written once in so long: not every request is a write. */
const USED_EVERY_MS = 60_000;

type SignedIn = Extract<Actor, { kind: "person" }>;
/** By a token that the control plane made itself. */
type Person = SignedIn & { token: string };

const columns = {
  id: apiTokens.id,
  label: apiTokens.label,
  role: apiTokens.role,
  scope: apiTokens.scope,
  lastUsedAt: apiTokens.lastUsedAt,
};
type Row = Pick<typeof apiTokens.$inferSelect, keyof typeof columns>;

const alive = (services: Services) =>
  and(isNull(apiTokens.revokedAt), or(isNull(apiTokens.expiresAt), gt(apiTokens.expiresAt, now(services))));

export async function authenticateToken(services: Services, token: string): Promise<Person | null> {
  const [row] = await services.db
    .select(columns)
    .from(apiTokens)
    .where(and(eq(apiTokens.hash, hashToken(token)), alive(services)));
  return row ? person(services, row, "token") : null;
}

/** By an API token's exchange, or by single sign-on. */
export async function authenticateSession(services: Services, session: string): Promise<SignedIn | null> {
  const hash = hashToken(session);
  const [row] = await services.db
    .select({ token: columns, person: sessions.person, checkAt: sessions.checkAt })
    .from(sessions)
    .leftJoin(apiTokens, and(eq(sessions.token, apiTokens.id), alive(services)))
    .where(and(eq(sessions.hash, hash), gt(sessions.expiresAt, now(services))));
  if (row?.token) return person(services, row.token, "session");
  if (!row?.person) return null;
  const due = row.checkAt !== null && row.checkAt <= now(services);
  const vouchedFor = due ? await stillVouchedFor(services, hash) : row.person;
  if (vouchedFor === null) return null;
  const { name, role, scope } = vouchedFor;
  return { kind: "person", name, role, scope, token: null, via: "session" };
}

async function person(services: Services, row: Row, via: Person["via"]): Promise<Person> {
  const before = new Date(services.clock() - USED_EVERY_MS);
  if (row.lastUsedAt === null || row.lastUsedAt < before)
    await services.db
      .update(apiTokens)
      .set({ lastUsedAt: now(services) })
      .where(
        and(eq(apiTokens.id, row.id), or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, before))),
      );
  return { kind: "person", name: row.label, role: row.role, scope: row.scope, token: row.id, via };
}
