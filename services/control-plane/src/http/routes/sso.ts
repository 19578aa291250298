import { z } from "@hono/zod-openapi";
import { SsoState, SsoToken, SsoTokenRequest } from "@picket/shared/api";
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { Services } from "../../context.ts";
import {
  beginSignIn,
  CommandLine,
  completeSignIn,
  type Failure,
  redeemCode,
} from "../../identity/sso/sign-in.ts";
import { peerAddress, SESSION_COOKIE, sessionCookie } from "../authenticate.ts";
import { limited, rationed } from "../limit.ts";
import { type App, route } from "../route.ts";

const BEGUN_COOKIE = "picket_sso";
const BEGUN_MAX = 60;
const REFUSALS_MAX = 20;

const words: Record<Failure, string> = {
  expired: "this sign-in was begun too long ago, or in another browser",
  denied: "the identity provider refused",
  away: "the identity provider does not answer",
  mismatch: "the identity provider's answer does not fit what was asked",
  "no-access": "you are known, but nothing in the configuration gives you a role",
};

export function ssoRoutes(app: App, services: Services): void {
  // Lax: the browser must send it when the provider sends the person back.
  const cookie = { ...sessionCookie(services), path: "/v1/sso", sameSite: "Lax" } as const;

  route(
    app,
    services,
    "sso.show",
    { summary: "Whether there is single sign-on", answer: SsoState },
    async () => ({
      enabled: services.sso !== null,
    }),
  );
  route(
    app,
    services,
    "sso.begin",
    {
      summary: "Off to the identity provider; a command line says where it listens on its loopback",
      query: z.object({
        return: z.string().max(500).default("/"),
        port: CommandLine.shape.port.optional(),
        state: CommandLine.shape.state.optional(),
        challenge: CommandLine.shape.challenge.optional(),
      }),
    },
    async (ctx, { query }, c) => {
      await rationed(ctx, "sso", peerAddress(c), BEGUN_MAX);
      const { return: returnTo, ...rest } = query;
      const cli = query.port === undefined ? null : CommandLine.parse(rest);
      const { url, browser, maxAgeS } = await beginSignIn({ ctx, input: { returnTo, cli } });
      setCookie(c, BEGUN_COOKIE, browser, { ...cookie, maxAge: maxAgeS });
      return away(c, url);
    },
  );
  route(
    app,
    services,
    "sso.callback",
    { summary: "Back from the identity provider", query: z.looseObject({}), timeoutMs: 20_000 },
    async (ctx, _, c) => {
      const input = { query: new URL(c.req.url).search, browser: getCookie(c, BEGUN_COOKIE) };
      const outcome = await completeSignIn({ ctx, input });
      deleteCookie(c, BEGUN_COOKIE, cookie);
      switch (outcome.kind) {
        case "session":
          setCookie(c, SESSION_COOKIE, outcome.session, {
            ...sessionCookie(services),
            maxAge: outcome.maxAgeS,
          });
          return away(c, outcome.returnTo);
        case "code":
          return away(c, loopback(outcome.cli, { code: outcome.code }));
        case "failed":
          return away(
            c,
            outcome.cli === null
              ? `/?sso=${outcome.because}`
              : loopback(outcome.cli, { error: words[outcome.because] }),
          );
      }
    },
  );
  route(
    app,
    services,
    "sso.redeem",
    {
      summary: "A command line's code and verifier (RFC 7636) for an API token",
      body: SsoTokenRequest,
      answer: SsoToken,
      status: 201,
    },
    (ctx, { body }, c) =>
      limited(ctx, "session", peerAddress(c), REFUSALS_MAX, () => redeemCode({ ctx, input: body })),
  );
}

/** The host is never asked for: a code goes to the machine of the browser that signed in, or nowhere. */
const loopback = ({ port, state }: CommandLineAt, answer: Record<string, string>): string =>
  `http://127.0.0.1:${port}/?${new URLSearchParams({ ...answer, state })}`;
type CommandLineAt = Pick<z.infer<typeof CommandLine>, "port" | "state">;

/** The address may hold a code: it is kept nowhere. */
function away(c: Context, location: string): Response {
  c.header("cache-control", "no-store");
  c.header("referrer-policy", "no-referrer");
  return c.redirect(location, 302);
}
