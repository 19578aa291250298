/** Every error as problem details (RFC 9457); the one place where a code meets a status. */
import type { Problem } from "@picket/shared/contract";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { Logger } from "pino";
import { isPostgresAway } from "../db/client.ts";
import { isRedisAway } from "../queue/redis.ts";
import { Refusal, type RefusalCode } from "../refusal.ts";

const statusOf = {
  malformed: [400, "The request cannot be read"],
  unauthenticated: [401, "Not signed in"],
  "certificate-refused": [403, "No certificate of the fleet's CA"],
  forbidden: [403, "Not allowed"],
  "cross-site": [403, "Another site's request"],
  "join-token-refused": [403, "The join token is not valid"],
  "not-found": [404, "Not found"],
  "version-taken": [409, "This version exists with other content"],
  "key-taken": [409, "This key belongs to another node"],
  "rollout-active": [409, "Another rollout of this rule set is active"],
  "fleet-stopped": [409, "The fleet is stopped"],
  "wrong-state": [409, "Not possible in this state"],
  "too-large": [413, "The request is too large"],
  "unsatisfiable-range": [416, "The range is outside the object"],
  invalid: [422, "The request is not valid"],
  "rule-text-invalid": [422, "The rule text is not valid"],
  "policy-invalid": [422, "The policy is not valid"],
  "bundle-refused": [422, "The bundle is refused"],
  "digest-mismatch": [422, "The bytes have another digest"],
  "no-nodes": [422, "No node is selected"],
  "rate-limited": [429, "Too many attempts"],
  "sso-away": [503, "The identity provider cannot be reached"],
  "not-configured": [503, "Not configured"],
  "postgres-away": [503, "PostgreSQL cannot be reached"],
  "redis-away": [503, "Redis cannot be reached"],
  "timed-out": [503, "No answer in time"],
} as const satisfies Record<RefusalCode, readonly [number, string]>;

export function problemOf(error: unknown): { problem: Problem; retryAfterS?: number } {
  if (error instanceof Refusal) {
    const [status, title] = statusOf[error.code];
    return {
      problem: { type: "about:blank", title, status, code: error.code, detail: error.message },
      ...(error.retryAfterS !== undefined && { retryAfterS: error.retryAfterS }),
    };
  }
  if (isRedisAway(error)) return problemOf(away("redis-away", "try again in a moment"));
  if (isPostgresAway(error)) return problemOf(away("postgres-away", "try again in a moment"));
  if (error instanceof HTTPException)
    return problemOf(new Refusal(error.status === 413 ? "too-large" : "malformed", error.message));
  return {
    problem: { type: "about:blank", title: "Internal error", status: 500, code: "internal" },
  };
}

export const away = (code: "postgres-away" | "redis-away" | "timed-out", detail: string): Refusal =>
  new Refusal(code, detail, { retryAfterS: 2 });

export function answerProblem(c: Context, error: unknown, log?: Logger): Response {
  const { status, headers, body } = problemAnswer(c.req.path, error, log);
  return c.body(body, status as 400, headers);
}

/** The same for whoever answers without the framework. */
export function problemAnswer(
  path: string,
  error: unknown,
  log?: Logger,
): { status: number; headers: Record<string, string>; body: string } {
  const { problem, retryAfterS } = problemOf(error);
  const logged = { path, code: problem.code };
  if (problem.status === 500) log?.error({ ...logged, error }, "request failed");
  else if (problem.status === 503) log?.warn({ ...logged, error }, "request answered 503");
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (retryAfterS !== undefined) headers["retry-after"] = String(retryAfterS);
  if (problem.status === 401) headers["www-authenticate"] = 'Bearer realm="picket"';
  return { status: problem.status, headers, body: JSON.stringify(problem) };
}
