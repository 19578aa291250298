/**
 * From a request to its actor. Bearer tokens of people and of nodes look different (`pkt_…`, a JWT); a cookie is
 * believed for changes only when the browser says that the console itself sent the request.
 */
import type { Socket } from "node:net";
import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import type { Actor, Services } from "../context.ts";
import { authenticateSession, authenticateToken } from "../identity/authenticate.ts";
import type { Group } from "../identity/permissions.ts";
import { authenticateNode } from "../nodes/authenticate.ts";
import { Refusal } from "../refusal.ts";
import { requireCertificate } from "../tls.ts";

export const SESSION_COOKIE = "picket_session";

/** Strict: other sites' links arrive signed out, and the page's own requests are signed in. */
export const sessionCookie = ({ config }: Pick<Services, "config">) =>
  ({
    path: "/",
    httpOnly: true,
    sameSite: "Strict",
    secure: config.tls !== null || (config.publicUrl?.startsWith("https:") ?? false),
  }) as const;

const ANYONE: Actor = { kind: "anyone" };

/** Throws when a credential is given and wrong: it is never taken for no credential. */
export async function authenticate(services: Services, c: Context, group: Group): Promise<Actor> {
  if (group === "open") return ANYONE;
  const authorization = c.req.header("authorization");
  if (authorization !== undefined) return authenticateBearer(services, authorization, peer(c));
  const session = getCookie(c, SESSION_COOKIE);
  if (session === undefined) return ANYONE;
  if (c.req.method !== "GET" && c.req.method !== "HEAD") requireSameOrigin(c);
  const actor = await authenticateSession(services, session);
  if (!actor) throw new Refusal("unauthenticated", "the session has ended: sign in again");
  return actor;
}

export async function authenticateBearer(
  services: Services,
  authorization: string,
  socket: Socket | undefined,
): Promise<Actor> {
  const token = /^Bearer ([A-Za-z0-9._-]{1,4096})$/.exec(authorization)?.[1];
  if (token === undefined) throw new Refusal("unauthenticated", "Authorization must be: Bearer <token>");
  if (!token.startsWith("pkt_")) {
    requireCertificate(services, socket);
    return authenticateNode(services, token);
  }
  const actor = await authenticateToken(services, token);
  if (!actor) throw new Refusal("unauthenticated", "this token is unknown, expired or revoked");
  return actor;
}

/** Cross-site request forgery: the fetch metadata decide; older browsers' Origin must name this very host. */
export function requireSameOrigin(c: Context): void {
  const site = c.req.header("sec-fetch-site");
  if (site !== undefined) {
    if (site === "same-origin") return;
    throw new Refusal("cross-site", `a ${site} request may not use the session cookie`);
  }
  const origin = c.req.header("origin");
  if (origin !== undefined && URL.canParse(origin) && new URL(origin).host === c.req.header("host")) return;
  throw new Refusal("cross-site", "a change by session cookie must come from the console's own pages");
}

/** The connection, where Node's own server has it. */
export const peer = (c: Context): Socket | undefined =>
  (c.env as { incoming?: { socket?: Socket } } | undefined)?.incoming?.socket;

/** The peer's address, as Node's server saw it; forwarded headers are not believed. */
export const peerAddress = (c: Context): string => peer(c)?.remoteAddress ?? "unknown";

export function isLoopback(c: Context): boolean {
  if (c.req.header("x-forwarded-for") !== undefined || c.req.header("forwarded") !== undefined) return false;
  return /^(127\.|::1$|::ffff:127\.)/.test(peerAddress(c));
}
