/** Who holds this token or session. Null: nobody known. */
import { and, eq, gt, isNull } from "drizzle-orm";
import { type Actor, now, type Services } from "../context.ts";
import { apiTokens, sessions } from "../db/schema.ts";
import { hashToken } from "./secrets.ts";

export async function authenticateToken(services: Services, token: string): Promise<Actor | null> {
  const [row] = await services.db
    .select({ id: apiTokens.id, label: apiTokens.label, role: apiTokens.role })
    .from(apiTokens)
    .where(and(eq(apiTokens.hash, hashToken(token)), isNull(apiTokens.revokedAt)));
  return row ? { kind: "person", name: row.label, role: row.role, token: row.id, via: "token" } : null;
}

export async function authenticateSession(services: Services, session: string): Promise<Actor | null> {
  const [row] = await services.db
    .select({ id: apiTokens.id, label: apiTokens.label, role: apiTokens.role })
    .from(sessions)
    .innerJoin(apiTokens, eq(sessions.token, apiTokens.id))
    .where(
      and(
        eq(sessions.hash, hashToken(session)),
        gt(sessions.expiresAt, now(services)),
        isNull(apiTokens.revokedAt),
      ),
    );
  return row ? { kind: "person", name: row.label, role: row.role, token: row.id, via: "session" } : null;
}
