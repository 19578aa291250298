/**
 * A session of single sign-on asks the provider again every quarter of an hour: who has left, or left a group, loses
 * here what came with it. One request asks, the others of the same moment wait for its answer: a refresh token that is
 * used twice ends the grant. A provider that is away ends nothing and lets nobody in.
 */
import { eq } from "drizzle-orm";
import { record } from "../../audit/record.ts";
import type { Services } from "../../context.ts";
import type { Person } from "../../db/person.ts";
import { sessions } from "../../db/schema.ts";
import { seal, unseal } from "../../deliveries/secret-box.ts";
import { Refusal } from "../../refusal.ts";
import { accessOf } from "./access.ts";
import { ProviderError } from "./provider.ts";
import { CHECK_MS } from "./sign-in.ts";

/** Null: the session has ended. */
export async function stillVouchedFor(services: Services, hash: string): Promise<Person | null> {
  const { sso, config, db } = services;
  return db.transaction(async tx => {
    const [row] = await tx.select().from(sessions).where(eq(sessions.hash, hash)).for("update");
    if (!row?.person) return null;
    if (row.checkAt === null || row.checkAt.getTime() > services.clock()) return row.person;
    if (!sso || row.refreshToken === null || !config.oidc) return null;
    try {
      const vouched = await sso.refresh(unseal(services, row.refreshToken), row.person.subject);
      const person = accessOf(vouched.claims, config.oidc.access);
      if (person !== null) {
        await tx
          .update(sessions)
          .set({
            person,
            refreshToken: vouched.refreshToken && seal(services, vouched.refreshToken),
            checkAt: new Date(services.clock() + CHECK_MS),
          })
          .where(eq(sessions.hash, hash));
        return person;
      }
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      if (error.kind === "away")
        throw new Refusal("sso-away", "the identity provider cannot be reached: try again in a moment", {
          retryAfterS: 5,
        });
    }
    await tx.delete(sessions).where(eq(sessions.hash, hash));
    const { name, role, scope } = row.person;
    const actor = { kind: "person", name, role, scope, token: null, via: "session" } as const;
    await record({ ...services, actor }, tx, {
      verb: "session-ended",
      subject: `person:${name}`,
      detail: { because: "the identity provider no longer vouches for them" },
    });
    return null;
  });
}
