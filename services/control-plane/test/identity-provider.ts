/** A real OpenID Connect provider (oidc-provider) on this host's loopback, and a browser that only keeps cookies. */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import Provider from "oidc-provider";

export interface Account {
  claims: Record<string, unknown>;
  /** Refuses to be signed in. */
  refuses?: boolean;
}

export interface IdentityProvider {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** By subject; what is changed here is said from then on. */
  accounts: Map<string, Account>;
  /** Who sits at the browser. */
  person: string;
  revoked: string[];
  /** What its token endpoint says instead of its answer; null: its answer. */
  says: { status: number; body: string } | null;
  /** It hangs up, takes requests and says nothing, or a load balancer answers for it; and `false`: it is back. */
  away(how: "gone" | "silent" | "failing" | false): void;
  close(): Promise<void>;
}

/** `host`: by which name of loopback browsers know it. */
export async function startIdentityProvider(
  redirectUri: string,
  host = "127.0.0.1",
): Promise<IdentityProvider> {
  let isAway: Parameters<IdentityProvider["away"]>[0] = false;
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  const server = createServer((request, response) => {
    switch (isAway) {
      case "gone":
        return void request.socket.destroy();
      case "silent":
        return;
      case "failing":
        return void response
          .writeHead(503, { "content-type": "text/html" })
          .end("<h1>Service Unavailable</h1>");
    }
    handle(request, response);
  });
  await new Promise<void>(done => server.listen(0, "127.0.0.1", done));
  const issuer = `http://${host}:${(server.address() as AddressInfo).port}`;
  const [clientId, clientSecret] = ["picket", randomBytes(24).toString("base64url")];
  const accounts = new Map<string, Account>();
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
      },
    ],
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
    cookies: { keys: [randomBytes(24).toString("hex")] },
    features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    findAccount: (_context, sub) => {
      const account = accounts.get(sub);
      return account && { accountId: sub, claims: () => ({ sub, ...account.claims }) };
    },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
  });
  const result: IdentityProvider = {
    issuer,
    clientId,
    clientSecret,
    accounts,
    person: "",
    revoked: [],
    says: null,
    away: how => {
      isAway = how;
    },
    close: () =>
      new Promise(done => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
  provider.on("grant.revoked", (_context, grantId) => result.revoked.push(grantId));
  const callback = provider.callback();
  const interact = async (request: IncomingMessage, response: ServerResponse) => {
    const { prompt, params, grantId } = await provider.interactionDetails(request, response);
    if (accounts.get(result.person)?.refuses)
      return provider.interactionFinished(request, response, {
        error: "access_denied",
        error_description: "not today",
      });
    if (prompt.name === "login")
      return provider.interactionFinished(request, response, { login: { accountId: result.person } });
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
    const grant = known ?? new provider.Grant({ accountId: result.person, clientId });
    grant.addOIDCScope(String(params.scope));
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  };
  handle = (request, response) => {
    if (request.url?.startsWith("/interaction/"))
      void interact(request, response).catch(error => {
        response.statusCode = 500;
        response.end(String(error));
      });
    else if (request.url === "/token" && result.says)
      response.writeHead(result.says.status, { "content-type": "application/json" }).end(result.says.body);
    else void callback(request, response);
  };
  return result;
}

/** Follows redirects with the cookies of each host, as far as it is told. */
export class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly seen: string[] = [];

  cookie(url: string, name: string): string | undefined {
    return this.#jar(url).get(name);
  }

  #jar(url: string): Map<string, string> {
    // Ports share cookies in browsers; the servers of a test are kept apart, since their hosts are.
    const { host } = new URL(url);
    const jar = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, jar);
    return jar;
  }

  async get(url: string): Promise<Response> {
    const jar = this.#jar(url);
    const response = await fetch(url, {
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = ""] = cookie.split(";");
      const equals = pair.indexOf("=");
      const [name, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
      if (value === "" || /max-age=0/i.test(cookie)) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  }

  /** To the first answer that is no redirect, or the first address that `stop` knows. */
  async follow(
    url: string,
    stop: (url: string) => boolean = () => false,
  ): Promise<{ url: string; response: Response }> {
    let at = url;
    for (let i = 0; i < 20; i++) {
      this.seen.push(at);
      const response = await this.get(at);
      const location = response.headers.get("location");
      if (location === null) return { url: at, response };
      await response.body?.cancel();
      at = new URL(location, at).href;
      if (stop(at)) return { url: at, response };
    }
    throw new Error(`too many redirects: ${this.seen.join(" → ")}`);
  }
}
