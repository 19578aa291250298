/**
 * PostgreSQL through node-postgres and drizzle. A query whose connection breaks, or cannot be made, fails at once,
 * so that a request hears "postgres-away" instead of hanging; the pool makes new connections by itself.
 *
 * Not postgres.js: when a server dies inside a transaction, 3.4.9 writes the ROLLBACK to the socket that is gone,
 * which is an exception that nothing can catch, and may keep a connection for ever that sends nothing
 * (test/faults.test.ts kills the server in both situations).
 */
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";

export type Tx = Omit<NodePgDatabase, "transaction" | "$client">;
export type Db = Tx & { transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> };

/** libpq's form puts a socket's directory, percent-encoded, where the host is. */
export function connectionOptions(url: string): pg.ClientConfig {
  const parsed = new URL(url);
  const host = decodeURIComponent(parsed.hostname) || parsed.searchParams.get("host") || "";
  if (!host.startsWith("/")) return { connectionString: url };
  return {
    host,
    port: Number(parsed.port || 5432),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)),
  };
}

export function connect(
  url: string,
  { max = 10, name = "picket" }: { max?: number; name?: string } = {},
): { db: Db; close: () => Promise<void> } {
  const pool = new pg.Pool({
    ...connectionOptions(url),
    max,
    application_name: name,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 60_000,
    statement_timeout: 15_000,
    // For a server that is gone without a word: its own timeout cannot tell.
    query_timeout: 20_000,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  // A connection that breaks while nobody uses it is replaced when somebody does: its query, if any, says why.
  pool.on("error", () => undefined);
  pool.on("connect", client => client.on("error", () => undefined));
  const transaction = <T>(work: (tx: Tx) => Promise<T>): Promise<T> => inTransaction(pool, work);
  return { db: Object.assign(drizzle(pool), { transaction }) as Db, close: () => pool.end() };
}

/** Drizzle's own does not give a connection back whose BEGIN failed, and hides the error when ROLLBACK fails, too. */
async function inTransaction<T>(pool: pg.Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("begin");
    const result = await work(drizzle(client));
    await client.query("commit");
    return result;
  } catch (error) {
    // A connection that does not answer is thrown away; the server rolls back what it was left with.
    if (isPostgresAway(error)) broken = error as Error;
    else
      await client.query("rollback").catch((why: Error) => {
        broken = why;
      });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Whether an error means that PostgreSQL could not be asked, rather than that it refused. */
export function isPostgresAway(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (BROKEN.test(cause.message)) return true;
    const code = (cause as { code?: unknown }).code;
    if (typeof code !== "string") continue;
    // ENOENT is a socket that is not there only when a connection was tried: a missing file is another matter.
    if (code === "ENOENT" && (cause as { syscall?: unknown }).syscall === "connect") return true;
    if (AWAY.has(code) || code.startsWith("08") || code.startsWith("57P")) return true;
  }
  return false;
}

/** node-postgres' own errors have no code. */
const BROKEN =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|timeout exceeded when trying to connect|timeout expired|Query read timeout)/;

const AWAY = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "53300", // too_many_connections
  "57014", // query_canceled: statement_timeout
]);

/** SQLSTATE 23505 on the named constraint or index. */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, constraint: violated } = cause as { code?: unknown; constraint?: unknown };
    if (code === "23505" && violated === constraint) return true;
  }
  return false;
}
