/**
 * The OpenID Connect provider: authorization code with PKCE (RFC 7636), state and nonce, by openid-client. Looked up
 * when it is first needed and again after it could not be reached, so that Picket starts without it. Tokens stay in
 * here; what goes out are claims, and a refresh token to be sealed.
 */
import * as oidc from "openid-client";
import type { Claims } from "./access.ts";

export interface ProviderSettings {
  issuer: string;
  clientId: string;
  clientSecret: string | undefined;
  scopes: string;
  /** The one address that the provider sends people back to. */
  redirectUri: string;
}

export interface Attempt {
  state: string;
  nonce: string;
  verifier: string;
}

export type Vouched = { claims: Claims; refreshToken: string | null };

/** Why a sign-in failed: `denied` by the provider, `away`, or an answer that does not fit what was asked. */
export class ProviderError extends Error {
  override name = "ProviderError";
  readonly kind: "denied" | "away" | "mismatch";
  /** Nobody vouches for the person any more. Every other failure may pass, or is one of the configuration. */
  readonly endsGrant: boolean;
  constructor(kind: ProviderError["kind"], message: string, { endsGrant = false } = {}) {
    super(message);
    this.kind = kind;
    this.endsGrant = endsGrant;
  }
}

const TIMEOUT_S = 5;

export class Provider {
  readonly settings: ProviderSettings;
  #found: Promise<oidc.Configuration> | null = null;

  constructor(settings: ProviderSettings) {
    this.settings = settings;
  }

  #configuration(): Promise<oidc.Configuration> {
    this.#found ??= this.#discover().catch(error => {
      this.#found = null;
      throw error;
    });
    return this.#found;
  }

  #discover(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.settings;
    const url = new URL(issuer);
    // config.ts lets http through for this host only.
    const insecure = url.protocol === "http:" ? [oidc.allowInsecureRequests] : [];
    const auth = clientSecret === undefined ? oidc.None() : oidc.ClientSecretBasic(clientSecret);
    return oidc.discovery(url, clientId, clientSecret, auth, { execute: insecure, timeout: TIMEOUT_S });
  }

  async authorizationUrl({ state, nonce, verifier }: Attempt): Promise<URL> {
    return told(async () => {
      const { scopes, redirectUri } = this.settings;
      return oidc.buildAuthorizationUrl(await this.#configuration(), {
        redirect_uri: redirectUri,
        scope: scopes,
        state,
        nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        // OpenID Connect Core 11: without it a provider gives no refresh token.
        ...(/\boffline_access\b/.test(scopes) && { prompt: "consent" }),
      });
    });
  }

  /** `query`: what the provider sent the person back with. */
  exchange(query: string, { state, nonce, verifier }: Attempt): Promise<Vouched> {
    return told(async () => {
      const configuration = await this.#configuration();
      const tokens = await oidc.authorizationCodeGrant(
        configuration,
        new URL(`${this.settings.redirectUri}${query}`),
        { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true },
      );
      return vouched(configuration, tokens, tokens.claims()!.sub);
    });
  }

  /** What the provider says of the person now. */
  refresh(refreshToken: string, subject: string): Promise<Vouched> {
    return told(async () => {
      const configuration = await this.#configuration();
      const tokens = await oidc.refreshTokenGrant(configuration, refreshToken);
      const fresh = await vouched(configuration, tokens, subject);
      return { ...fresh, refreshToken: fresh.refreshToken ?? refreshToken };
    });
  }

  /** Signing out ends what could be had with it. */
  revoke(refreshToken: string): Promise<void> {
    return told(async () => {
      const configuration = await this.#configuration();
      if (configuration.serverMetadata().revocation_endpoint !== undefined)
        await oidc.tokenRevocation(configuration, refreshToken);
    });
  }
}

async function vouched(
  configuration: oidc.Configuration,
  tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
  subject: string,
): Promise<Vouched> {
  const claims = tokens.claims();
  if (claims && claims.sub !== subject) throw anotherPerson();
  // Many providers put groups here only.
  const info: { sub?: string } =
    configuration.serverMetadata().userinfo_endpoint === undefined
      ? {}
      : await oidc.fetchUserInfo(configuration, tokens.access_token, oidc.skipSubjectCheck);
  if (info.sub !== undefined && info.sub !== subject) throw anotherPerson();
  return { claims: { ...info, ...claims, sub: subject }, refreshToken: tokens.refresh_token ?? null };
}

const anotherPerson = () =>
  new ProviderError("mismatch", "the answer is of another person", { endsGrant: true });

/** Said by a provider that is there and cannot answer now (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6). */
const UNAVAILABLE = new Set(["server_error", "temporarily_unavailable", "slow_down"]);
/** Of oauth4webapi: what a load balancer says in the provider's stead is no answer of the provider's. */
const NO_ANSWER = new Set(["OAUTH_TIMEOUT", "OAUTH_RESPONSE_IS_NOT_JSON", "OAUTH_PARSE_ERROR"]);

const isFailing = (status = 0): boolean => status >= 500 || status === 429;

/** Errors of the library may carry answers with tokens in them: only their words and codes go on. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProviderError) throw error;
    if (error instanceof oidc.AuthorizationResponseError || error instanceof oidc.ResponseBodyError) {
      const unavailable = UNAVAILABLE.has(error.error) || isFailing((error as { status?: number }).status);
      throw new ProviderError(unavailable ? "away" : "denied", error.error, {
        endsGrant: !unavailable && error.error === "invalid_grant",
      });
    }
    const { code, message, cause } = error as { code?: string; message: string; cause?: { status?: number } };
    const away =
      code === undefined || NO_ANSWER.has(code) || error instanceof TypeError || isFailing(cause?.status);
    throw new ProviderError(away ? "away" : "mismatch", code ?? message);
  }
}
