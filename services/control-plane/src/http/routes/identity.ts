import { z } from "@hono/zod-openapi";
import {
  ApiToken,
  ApiTokenRequest,
  AuditCheck,
  AuditRow,
  Me,
  page,
  SessionRequest,
} from "@picket/shared/api";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { listAudit } from "../../audit/list.ts";
import { verifyAudit } from "../../audit/verify.ts";
import type { Services } from "../../context.ts";
import { signIn, signOut } from "../../identity/sessions.ts";
import { createApiToken, listApiTokens, revokeApiToken } from "../../identity/tokens.ts";
import { PageInput, whole } from "../../page.ts";
import { Refusal } from "../../refusal.ts";
import { peerAddress, requireSameOrigin, SESSION_COOKIE, sessionCookie } from "../authenticate.ts";
import { limited } from "../limit.ts";
import { type App, IdParams, route } from "../route.ts";

const REFUSALS_MAX = 20;

export function identityRoutes(app: App, services: Services): void {
  const cookie = sessionCookie(services);

  route(app, services, "identity.me", { summary: "Who asks", answer: Me }, async ctx => {
    if (ctx.actor.kind !== "person")
      throw new Refusal("forbidden", "only people and machines have a name here");
    return { name: ctx.actor.name, role: ctx.actor.role, scope: ctx.actor.scope };
  });
  route(
    app,
    services,
    "identity.sign-in",
    { summary: "Exchange an API token for the console's session cookie", body: SessionRequest, answer: Me },
    async (ctx, { body }, c) => {
      // A page of another site must not sign somebody in as somebody else. Programs send neither header.
      if (c.req.header("origin") !== undefined || c.req.header("sec-fetch-site") !== undefined)
        requireSameOrigin(c);
      const { session, me } = await limited(ctx, "session", peerAddress(c), REFUSALS_MAX, () =>
        signIn({ ctx, input: body }),
      );
      setCookie(c, SESSION_COOKIE, session, { ...cookie, maxAge: services.config.sessionMs / 1_000 });
      return me;
    },
  );
  route(app, services, "identity.sign-out", { summary: "End the session" }, async (ctx, _, c) => {
    const session = getCookie(c, SESSION_COOKIE);
    if (session !== undefined) await signOut({ ctx, input: { session } });
    deleteCookie(c, SESSION_COOKIE, cookie);
  });
  route(app, services, "identity.list-tokens", { summary: "API tokens", answer: page(ApiToken) }, async ctx =>
    whole(await listApiTokens({ ctx })),
  );
  route(
    app,
    services,
    "identity.create-token",
    {
      summary: "Create an API token; it is shown once",
      body: ApiTokenRequest,
      answer: ApiToken,
      status: 201,
    },
    (ctx, { body }) => createApiToken({ ctx, input: body }),
  );
  route(
    app,
    services,
    "identity.revoke-token",
    { summary: "Revoke an API token and end its sessions", params: IdParams },
    (ctx, { params }) => revokeApiToken({ ctx, input: params }),
  );
  route(
    app,
    services,
    "audit.list",
    { summary: "Every change, newest first", query: PageInput, answer: page(AuditRow) },
    (ctx, { query }) => listAudit({ ctx, input: query }),
  );
  route(
    app,
    services,
    "audit.verify",
    { summary: "Check the audit log's hash chain", answer: AuditCheck, query: z.object({}) },
    ctx => verifyAudit({ ctx }),
  );
}
