/** Migrations run at start. Several processes may start at once: one of them works, the others wait. */
import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as run } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { connectionOptions } from "./client.ts";

/** Any number that nothing else in this database locks. */
const MIGRATION_LOCK = 7_400_001;

export async function migrate(url: string): Promise<void> {
  const client = new pg.Client({ ...connectionOptions(url), connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined); // The query that it breaks says so.
  await client.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
    // Beside src/ as beside dist/.
    await run(drizzle(client), {
      migrationsFolder: fileURLToPath(new URL("../../drizzle", import.meta.url)),
    });
  } finally {
    await client.end();
  }
}
