/**
 * Single sign-on. The browser goes to the provider and comes back; what was begun is known by the state and by a cookie
 * of this very browser, so that nobody can be signed in as somebody else by a link. The console then has a session,
 * the command line a code for its own loopback address that only its verifier redeems. What is begun lies in Redis for
 * minutes; who somebody is never does.
 */
import { createHash } from "node:crypto";
import type { ApiToken, Me } from "@picket/shared/api";
import { and, eq, gt, lt } from "drizzle-orm";
import { z } from "zod";
import { record } from "../../audit/record.ts";
import { type Ctx, now, uuid } from "../../context.ts";
import type { Person } from "../../db/person.ts";
import { apiTokens, sessions, ssoCodes } from "../../db/schema.ts";
import { seal } from "../../deliveries/secret-box.ts";
import { Refusal } from "../../refusal.ts";
import { drawApiToken, drawSession, hashToken } from "../secrets.ts";
import { accessOf } from "./access.ts";
import { type Provider, ProviderError, type Vouched } from "./provider.ts";

const BEGUN_S = 600;
const CODE_MS = 60_000;
/** Without a refresh token nobody says later that the person still may. */
const UNCHECKED_MS = 3_600_000;
/** How often the provider is asked whether they still may. */
export const CHECK_MS = 900_000;

/** Where to send whoever began on a command line. */
export const CommandLine = z.object({
  port: z.coerce.number().int().min(1024).max(65_535),
  state: z.string().regex(/^[\w-]{16,128}$/),
  challenge: z.string().regex(/^[\w-]{43}$/),
});
type CommandLine = z.infer<typeof CommandLine>;

const Begun = z.object({
  nonce: z.string(),
  verifier: z.string(),
  browser: z.string(),
  returnTo: z.string(),
  cli: CommandLine.nullable(),
});

export type Outcome =
  | { kind: "session"; session: string; maxAgeS: number; returnTo: string }
  | { kind: "code"; cli: CommandLine; code: string }
  | { kind: "failed"; cli: CommandLine | null; because: Failure };
export type Failure = "expired" | "denied" | "away" | "mismatch" | "no-access";

function provider(ctx: Ctx): Provider {
  if (ctx.sso) return ctx.sso;
  throw new Refusal(
    "not-configured",
    "single sign-on is not configured: PICKET_OIDC_ISSUER and its companions",
  );
}

const draw = (ctx: Ctx): string => ctx.random(32).toString("base64url");
const begunKey = (state: string): string => `picket:sso:${hashToken(state)}`;

export async function beginSignIn({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { returnTo: string; cli: CommandLine | null };
}): Promise<{ url: string; browser: string; maxAgeS: number }> {
  const [state, nonce, verifier, browser] = [draw(ctx), draw(ctx), draw(ctx), draw(ctx)];
  let url: URL;
  try {
    url = await provider(ctx).authorizationUrl({ state, nonce, verifier });
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    throw new Refusal("not-configured", `the identity provider cannot be reached: ${error.message}`);
  }
  const begun: z.infer<typeof Begun> = {
    nonce,
    verifier,
    browser: hashToken(browser),
    // A path of this console, and nothing that a browser takes for another host.
    returnTo: /^\/(?![/\\])[^\\]{0,500}$/.test(input.returnTo) ? input.returnTo : "/",
    cli: input.cli,
  };
  await ctx.redis.set(begunKey(state), JSON.stringify(begun), "EX", BEGUN_S);
  return { url: url.href, browser, maxAgeS: BEGUN_S };
}

export async function completeSignIn({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { query: string; browser: string | undefined };
}): Promise<Outcome> {
  const sso = provider(ctx);
  const state = new URLSearchParams(input.query).get("state") ?? "";
  const stored = state === "" ? null : await ctx.redis.getdel(begunKey(state));
  const begun = stored === null ? null : Begun.parse(JSON.parse(stored));
  if (begun === null || input.browser === undefined || hashToken(input.browser) !== begun.browser)
    return { kind: "failed", cli: null, because: "expired" };
  const failed = (because: Failure): Outcome => ({ kind: "failed", cli: begun.cli, because });
  let vouched: Vouched;
  try {
    vouched = await sso.exchange(input.query, { state, nonce: begun.nonce, verifier: begun.verifier });
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    ctx.log.warn({ because: error.kind, said: error.message }, "a sign-in at the identity provider failed");
    return failed(error.kind);
  }
  const person = accessOf(vouched.claims, ctx.config.oidc!.access);
  if (person === null) {
    ctx.log.warn({ subject: vouched.claims.sub }, "signed in at the provider, but no rule gives them a role");
    return failed("no-access");
  }
  return begun.cli === null
    ? { ...(await openSession(ctx, person, vouched.refreshToken)), returnTo: begun.returnTo }
    : { kind: "code", cli: begun.cli, code: await makeCode(ctx, person, begun.cli) };
}

async function openSession(ctx: Ctx, person: Person, refreshToken: string | null) {
  const session = drawSession(ctx);
  // Only sealed: it is worth as much as the person's password for as long as it lasts.
  const kept = refreshToken !== null && ctx.config.secretKey !== undefined ? seal(ctx, refreshToken) : null;
  const lastsMs = kept === null ? Math.min(UNCHECKED_MS, ctx.config.sessionMs) : ctx.config.sessionMs;
  await ctx.db.transaction(async tx => {
    await tx.delete(sessions).where(lt(sessions.expiresAt, now(ctx)));
    await tx.insert(sessions).values({
      hash: hashToken(session),
      token: null,
      person,
      refreshToken: kept,
      checkAt: kept === null ? null : new Date(ctx.clock() + CHECK_MS),
      createdAt: now(ctx),
      expiresAt: new Date(ctx.clock() + lastsMs),
    });
    await record(asPerson(ctx, person), tx, {
      verb: "sign-in",
      subject: `person:${person.name}`,
      detail: { role: person.role, scope: person.scope, by: "sso" },
    });
  });
  return { kind: "session" as const, session, maxAgeS: lastsMs / 1_000 };
}

async function makeCode(ctx: Ctx, person: Person, { challenge }: CommandLine): Promise<string> {
  const code = draw(ctx);
  await ctx.db.transaction(async tx => {
    await tx.delete(ssoCodes).where(lt(ssoCodes.expiresAt, now(ctx)));
    await tx.insert(ssoCodes).values({
      hash: hashToken(code),
      challenge,
      person,
      expiresAt: new Date(ctx.clock() + CODE_MS),
    });
  });
  return code;
}

/** The code once, by who holds the verifier of its challenge: an API token that ends as a session would. */
export async function redeemCode({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { code: string; verifier: string };
}): Promise<{ token: NonNullable<ApiToken["token"]>; expiresAt: string; me: Me }> {
  const challenge = createHash("sha256").update(input.verifier).digest("base64url");
  return ctx.db.transaction(async tx => {
    const [row] = await tx
      .delete(ssoCodes)
      .where(
        and(
          eq(ssoCodes.hash, hashToken(input.code)),
          eq(ssoCodes.challenge, challenge),
          gt(ssoCodes.expiresAt, now(ctx)),
        ),
      )
      .returning();
    if (!row)
      throw new Refusal("unauthenticated", "this sign-in code is unknown, used or too old: begin again");
    const { name, role, scope } = row.person;
    const token = drawApiToken(ctx);
    const expiresAt = new Date(ctx.clock() + ctx.config.sessionMs);
    const id = uuid(ctx);
    await tx.insert(apiTokens).values({
      id,
      hash: hashToken(token),
      label: name,
      role,
      scope,
      createdAt: now(ctx),
      createdBy: name,
      expiresAt,
    });
    await record(asPerson(ctx, row.person), tx, {
      verb: "create-token",
      subject: `api-token:${id}`,
      detail: { role, scope, by: "sso", expiresAt },
    });
    return { token, expiresAt: expiresAt.toISOString(), me: { name, role, scope } };
  });
}

const asPerson = (ctx: Ctx, { name, role, scope }: Person): Ctx => ({
  ...ctx,
  actor: { kind: "person", name, role, scope, token: null, via: "session" },
});
