/**
 * PostgreSQL through postgres.js and drizzle. A connection that cannot be made fails its query at once, so that
 * a request hears "postgres-away" instead of hanging; the next query tries again.
 */
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import * as schema from "./schema.ts";

export type Db = PostgresJsDatabase<typeof schema>;
export type Tx = Parameters<Parameters<Db["transaction"]>[0]>[0];
/** Either: for reads that may be part of a transaction or not. */
export type DbOrTx = Db | Tx;

/** libpq's form puts a socket's directory, percent-encoded, where the host is; postgres.js does not decode it. */
export function connectionOptions(url: string): postgres.Options<Record<string, never>> {
  const parsed = new URL(url);
  const host = decodeURIComponent(parsed.hostname) || parsed.searchParams.get("host") || "";
  if (!host.startsWith("/")) return {};
  return {
    host,
    port: Number(parsed.port || 5432),
    user: decodeURIComponent(parsed.username),
    pass: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)),
  };
}

export function connect(
  url: string,
  { max = 10, name = "picket" }: { max?: number; name?: string } = {},
): { db: Db; sql: postgres.Sql; close: () => Promise<void> } {
  const socket = connectionOptions(url);
  const options: postgres.Options<Record<string, never>> = {
    max,
    connect_timeout: 3,
    idle_timeout: 60,
    // The pool waits so long (seconds) before it tries a broken connection again.
    backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 0.5),
    connection: {
      application_name: name,
      statement_timeout: 15_000,
      idle_in_transaction_session_timeout: 30_000,
    },
    onnotice: () => undefined,
    ...socket,
  };
  const sql = "host" in socket ? postgres(options) : postgres(url, options);
  return { db: drizzle(sql, { schema }), sql, close: () => sql.end({ timeout: 5 }) };
}

/** Whether an error means that PostgreSQL could not be asked, rather than that it refused. */
export function isPostgresAway(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = (cause as { code?: unknown }).code;
    if (typeof code !== "string") continue;
    // ENOENT is a socket that is not there only when a connection was tried: a missing file is another matter.
    if (code === "ENOENT" && (cause as { syscall?: unknown }).syscall === "connect") return true;
    if (AWAY.has(code) || code.startsWith("08") || code.startsWith("57P")) return true;
  }
  return false;
}

const AWAY = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "CONNECT_TIMEOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "53300", // too_many_connections
  "57014", // query_canceled: statement_timeout
]);

/** SQLSTATE 23505 on the named constraint or index. */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, constraint_name } = cause as { code?: unknown; constraint_name?: unknown };
    if (code === "23505" && constraint_name === constraint) return true;
  }
  return false;
}
