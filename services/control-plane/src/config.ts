/** Settings by environment, checked at start: a wrong one says its name and what would be right. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { IDLE_CALLS_PER_SECOND } from "@picket/shared/pace";
import { Priority } from "@picket/shared/vocabulary";
import { z } from "zod";
import { type AccessRule, AccessRules } from "./identity/sso/access.ts";
import type { ProviderSettings } from "./identity/sso/provider.ts";
import { readTls, type TlsFiles } from "./tls.ts";

const Cidr = z.string().regex(/^[0-9a-fA-F.:]+\/\d{1,3}$/, "a network such as 10.0.0.0/8 or ::1/128");
const Cidrs = z
  .string()
  .default("")
  .transform(text =>
    text
      .split(",")
      .map(part => part.trim())
      .filter(Boolean),
  )
  .pipe(z.array(Cidr));

const Listen = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:]+):\d{1,5}$/, "host:port, such as 127.0.0.1:7400")
  .transform(text => {
    const colon = text.lastIndexOf(":");
    return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
  });

/** Line ends may be written as \\n, where an environment cannot hold them. */
function ed25519(pem: string): KeyObject | null {
  try {
    const key = createPrivateKey(pem.replaceAll("\\n", "\n"));
    return key.asymmetricKeyType === "ed25519" ? key : null;
  } catch {
    return null;
  }
}

const Environment = z.object({
  DATABASE_URL: z.string({ error: "where PostgreSQL is: postgres://user@host/database" }),
  REDIS_URL: z.string({ error: "where Redis is: redis://host or the path of a unix socket" }),
  PICKET_LISTEN: Listen.prefault("127.0.0.1:7400"),
  PICKET_BOOTSTRAP_TOKEN: z
    .string()
    .regex(/^pkt_[A-Za-z0-9_-]{20,}$/, "pkt_ and at least 20 letters and digits")
    .optional(),
  PICKET_ALLOW_PRIVATE_WEBHOOKS: Cidrs,
  PICKET_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  PICKET_TLS_CERT: z.string().optional(),
  PICKET_TLS_KEY: z.string().optional(),
  PICKET_TLS_CLIENT_CA: z.string().optional(),
  PICKET_SECRET_KEY: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "32 bytes in lower-case hex: openssl rand -hex 32")
    .optional(),
  PICKET_SHARING_KEY: z
    .string()
    .transform((pem, context) => {
      const key = ed25519(pem);
      if (key) return key;
      context.addIssue("an Ed25519 private key in PEM, as `picket immunity key` makes it");
      return z.NEVER;
    })
    .optional(),
  PICKET_GITHUB_API: z.url({ protocol: /^https?$/ }).default("https://api.github.com"),
  PICKET_GITHUB_REPO: z
    .string()
    .regex(/^[\w.-]+\/[\w.-]+$/, "owner/name")
    .optional(),
  PICKET_GITHUB_TOKEN: z.string().min(1).optional(),
  PICKET_TICKET_PRIORITY_MIN: Priority.default("P2"),
  PICKET_FOUR_EYES_ABOVE: z.coerce.number().min(0).max(100).optional(),
  PICKET_ALERT_QUIET_MINUTES: z.coerce.number().min(0.01).max(10_080).default(15),
  PICKET_OIDC_ISSUER: z
    .url({ protocol: /^https?$/ })
    .refine(httpsOrLoopback, "https, but for a test on this host")
    .optional(),
  PICKET_OIDC_CLIENT_ID: z.string().min(1).optional(),
  PICKET_OIDC_CLIENT_SECRET: z.string().min(1).optional(),
  PICKET_OIDC_SCOPES: z
    .string()
    .regex(/^openid( [!#-[\]-~]+)*$/, "openid and others, with spaces between")
    .default("openid profile email offline_access"),
  PICKET_OIDC_ACCESS: z.string().min(1).optional(),
  PICKET_IDLE_CALLS_PER_SECOND: z.coerce.number().int().min(1).max(1_000_000).default(IDLE_CALLS_PER_SECOND),
  PICKET_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
});

/** `http` carries codes and tokens in the clear: only on this very host. */
function httpsOrLoopback(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  return protocol === "https:" || ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
}

export interface Config {
  databaseUrl: string;
  redisUrl: string;
  listen: { host: string; port: number };
  /** Null: plain HTTP, for one host or behind a TLS terminator. */
  tls: TlsFiles | null;
  bootstrapToken: string | undefined;
  /** Single sign-on; null: API tokens only. */
  oidc: (ProviderSettings & { access: AccessRule[] }) | null;
  /** Where people reach the console; https makes the session cookie Secure. */
  publicUrl: string | undefined;
  secretKey: Buffer | undefined;
  /** With which shared verdicts are signed (docs/immunity.md); absent: none are. */
  sharingKey: KeyObject | undefined;
  allowPrivateWebhooks: string[];
  github: { api: string; repo: string; token: string | undefined } | undefined;
  ticketPriorityMin: Priority;
  /** Rollout steps past it wait for a second person; null: none does. */
  fourEyesAbovePercent: number | null;
  alertQuietMs: number;
  logLevel: string;
  /** What the fleet's idle nodes may ask together: a larger fleet is told to ask less often. */
  idleCallsPerSecond: number;
  /** Not heard of for longer, at full pace: offline, and after a sweep lost. */
  nodeSilentMs: number;
  /** A leased assignment that is not acknowledged by then is delivered again. */
  leaseMs: number;
  sweepMs: number;
  /** How often the files of `tls` are looked at: certificates are renewed without a restart. */
  tlsCheckMs: number;
  /** How often the reader of a stream is let in anew: a token may have been revoked, a scope narrowed. */
  readmitMs: number;
  /** PostgreSQL or Redis not answering for so long: 503. */
  dependencyTimeoutMs: number;
  /** Delays between the attempts of a delivery; one more failure is the dead letter. */
  deliveryScheduleMs: number[];
  deliveryTimeoutMs: number;
  sessionMs: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export class ConfigError extends Error {}

export function readConfig(environment: Record<string, string | undefined>): Config {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = Environment.safeParse(set);
  if (!parsed.success)
    throw new ConfigError(
      parsed.error.issues.map(issue => `${String(issue.path[0])}: ${issue.message}`).join("\n"),
    );
  const env = parsed.data;
  return {
    databaseUrl: env.DATABASE_URL,
    redisUrl: env.REDIS_URL,
    listen: env.PICKET_LISTEN,
    tls: tlsFiles(env),
    bootstrapToken: env.PICKET_BOOTSTRAP_TOKEN,
    oidc: readOidc(env),
    publicUrl: env.PICKET_PUBLIC_URL,
    secretKey: env.PICKET_SECRET_KEY === undefined ? undefined : Buffer.from(env.PICKET_SECRET_KEY, "hex"),
    sharingKey: env.PICKET_SHARING_KEY,
    allowPrivateWebhooks: env.PICKET_ALLOW_PRIVATE_WEBHOOKS,
    github:
      env.PICKET_GITHUB_REPO === undefined
        ? undefined
        : { api: env.PICKET_GITHUB_API, repo: env.PICKET_GITHUB_REPO, token: env.PICKET_GITHUB_TOKEN },
    ticketPriorityMin: env.PICKET_TICKET_PRIORITY_MIN,
    fourEyesAbovePercent: env.PICKET_FOUR_EYES_ABOVE ?? null,
    alertQuietMs: env.PICKET_ALERT_QUIET_MINUTES * MINUTE,
    logLevel: env.PICKET_LOG_LEVEL,
    idleCallsPerSecond: env.PICKET_IDLE_CALLS_PER_SECOND,
    nodeSilentMs: 90_000,
    leaseMs: 30_000,
    sweepMs: 5_000,
    tlsCheckMs: MINUTE,
    readmitMs: 15_000,
    dependencyTimeoutMs: 5_000,
    // Standard Webhooks, "Deliverability and reliability": over about three days.
    deliveryScheduleMs: [
      5_000,
      5 * MINUTE,
      30 * MINUTE,
      2 * HOUR,
      5 * HOUR,
      10 * HOUR,
      14 * HOUR,
      20 * HOUR,
      24 * HOUR,
    ],
    deliveryTimeoutMs: 15_000,
    sessionMs: 12 * HOUR,
  };
}

function tlsFiles(env: z.infer<typeof Environment>): TlsFiles | null {
  const { PICKET_TLS_CERT: cert, PICKET_TLS_KEY: key, PICKET_TLS_CLIENT_CA: clientCa = null } = env;
  if (cert === undefined && key === undefined && clientCa === null) return null;
  if (cert === undefined)
    throw new ConfigError("PICKET_TLS_CERT: the server's certificate chain, a PEM file");
  if (key === undefined) throw new ConfigError("PICKET_TLS_KEY: the certificate's private key, a PEM file");
  const files = { cert, key, clientCa };
  try {
    readTls(files);
  } catch (error) {
    throw new ConfigError(
      `PICKET_TLS_CERT, PICKET_TLS_KEY or PICKET_TLS_CLIENT_CA: ${(error as Error).message}`,
    );
  }
  return files;
}

function readOidc(env: z.infer<typeof Environment>): Config["oidc"] {
  const { PICKET_OIDC_ISSUER: issuer, PICKET_OIDC_CLIENT_ID: clientId } = env;
  if (issuer === undefined) return null;
  if (clientId === undefined)
    throw new ConfigError("PICKET_OIDC_CLIENT_ID: the client that the identity provider knows Picket as");
  if (env.PICKET_PUBLIC_URL === undefined)
    throw new ConfigError(
      "PICKET_PUBLIC_URL: where people reach the console; the provider sends them back there",
    );
  if (env.PICKET_OIDC_ACCESS === undefined)
    throw new ConfigError(
      "PICKET_OIDC_ACCESS: a JSON file with who may do what: [{claim, value, role, scope}, …] (docs/access.md)",
    );
  return {
    issuer,
    clientId,
    clientSecret: env.PICKET_OIDC_CLIENT_SECRET,
    scopes: env.PICKET_OIDC_SCOPES,
    redirectUri: `${env.PICKET_PUBLIC_URL.replace(/\/+$/, "")}/v1/sso/callback`,
    access: readAccess(env.PICKET_OIDC_ACCESS),
  };
}

function readAccess(file: string): AccessRule[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ConfigError(`PICKET_OIDC_ACCESS: ${file}: ${(error as Error).message}`);
  }
  const rules = AccessRules.safeParse(content);
  if (rules.success) return rules.data;
  throw new ConfigError(`PICKET_OIDC_ACCESS: ${file}:\n${z.prettifyError(rules.error)}`);
}
