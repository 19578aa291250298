/** A refused request throws one of these; http/problems.ts gives each code its status. */
export type RefusalCode =
  | "malformed"
  | "unauthenticated"
  | "certificate-refused"
  | "forbidden"
  | "cross-site"
  | "join-token-refused"
  | "not-found"
  | "invalid"
  | "rule-text-invalid"
  | "policy-invalid"
  | "bundle-refused"
  | "digest-mismatch"
  | "version-taken"
  | "key-taken"
  | "rollout-active"
  | "fleet-stopped"
  | "wrong-state"
  | "no-nodes"
  | "too-large"
  | "unsatisfiable-range"
  | "rate-limited"
  | "not-configured"
  | "sso-away"
  | "postgres-away"
  | "redis-away"
  | "timed-out";

export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly retryAfterS: number | undefined;
  constructor(code: RefusalCode, detail: string, options: { retryAfterS?: number; cause?: unknown } = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Refusal";
    this.code = code;
    this.retryAfterS = options.retryAfterS;
  }
}

export const notFound = (what: string): Refusal => new Refusal("not-found", `there is no ${what}`);
