/**
 * A session of single sign-on asks the provider again every quarter of an hour: who has left, or left a group, loses
 * here what came with it. One request asks, of all processes, and the others of the same moment wait for its answer: a
 * refresh token that is used twice ends the grant. Nobody holds a database connection meanwhile, since a provider may
 * take its time. One that is away ends nothing and lets nobody in.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { and, eq, isNull, lte, or } from "drizzle-orm";
import { record } from "../../audit/record.ts";
import { now, type Services } from "../../context.ts";
import type { Person } from "../../db/person.ts";
import { sessions } from "../../db/schema.ts";
import { seal, unseal } from "../../deliveries/secret-box.ts";
import { Refusal } from "../../refusal.ts";
import { accessOf } from "./access.ts";
import { ProviderError } from "./provider.ts";
import { CHECK_MS } from "./sign-in.ts";

type Row = typeof sessions.$inferSelect;

/** Whoever asks has so long; a process that died while it asked is waited for no longer. */
const ASKING_MS = 20_000;
const LOOK_MS = 200;

/** Of this process: who asks already. */
const asking = new Map<string, Promise<Person | null>>();

/** Null: the session has ended. */
export function stillVouchedFor(services: Services, hash: string): Promise<Person | null> {
  const answer = asking.get(hash) ?? ask(services, hash).finally(() => asking.delete(hash));
  asking.set(hash, answer);
  return answer;
}

async function ask(services: Services, hash: string): Promise<Person | null> {
  const until = services.clock() + services.config.dependencyTimeoutMs;
  do {
    const [claimed] = await services.db
      .update(sessions)
      .set({ askedUntil: new Date(services.clock() + ASKING_MS) })
      .where(
        and(
          eq(sessions.hash, hash),
          lte(sessions.checkAt, now(services)),
          or(isNull(sessions.askedUntil), lte(sessions.askedUntil, now(services))),
        ),
      )
      .returning();
    if (claimed) return answerOf(services, claimed);
    const [row] = await services.db.select().from(sessions).where(eq(sessions.hash, hash));
    if (!row?.person) return null;
    if (row.checkAt === null || row.checkAt > now(services)) return row.person;
    // Another process asks.
    await sleep(LOOK_MS);
  } while (services.clock() < until);
  throw away();
}

async function answerOf(services: Services, row: Row): Promise<Person | null> {
  const { sso, config, db } = services;
  const { hash, person: before, refreshToken } = row;
  if (!before || !sso || refreshToken === null || !config.oidc) return null;
  try {
    const vouched = await sso.refresh(unseal(services, refreshToken), before.subject);
    const person = accessOf(vouched.claims, config.oidc.access);
    if (person !== null) {
      await db
        .update(sessions)
        .set({
          person,
          refreshToken: vouched.refreshToken && seal(services, vouched.refreshToken),
          checkAt: new Date(services.clock() + CHECK_MS),
          askedUntil: null,
        })
        .where(eq(sessions.hash, hash));
      return person;
    }
  } catch (error) {
    if (!(error instanceof ProviderError && error.endsGrant)) {
      await db.update(sessions).set({ askedUntil: null }).where(eq(sessions.hash, hash));
      if (!(error instanceof ProviderError)) throw error;
      services.log.warn(
        { because: error.kind, said: error.message },
        "the identity provider does not say whether somebody still may",
      );
      throw away();
    }
  }
  await db.transaction(async tx => {
    await tx.delete(sessions).where(eq(sessions.hash, hash));
    const { name, role, scope } = before;
    const actor = { kind: "person", name, role, scope, token: null, via: "session" } as const;
    await record({ ...services, actor }, tx, {
      verb: "session-ended",
      subject: `person:${name}`,
      detail: { because: "the identity provider no longer vouches for them" },
    });
  });
  return null;
}

const away = (): Refusal =>
  new Refusal("sso-away", "the identity provider cannot be reached: try again in a moment", {
    retryAfterS: 5,
  });
