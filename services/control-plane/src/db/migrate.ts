/** Migrations run at start. Several processes may start at once: one of them works, the others wait. */
import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as run } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { connectionOptions } from "./client.ts";

/** Any number that nothing else in this database locks. */
const MIGRATION_LOCK = 7_400_001;

export async function migrate(url: string): Promise<void> {
  const options = { max: 1, onnotice: () => undefined, connect_timeout: 10, ...connectionOptions(url) };
  const sql = "host" in options ? postgres(options) : postgres(url, options);
  try {
    await sql`select pg_advisory_lock(${MIGRATION_LOCK})`;
    // Beside src/ as beside dist/.
    await run(drizzle(sql), { migrationsFolder: fileURLToPath(new URL("../../drizzle", import.meta.url)) });
  } finally {
    await sql.end({ timeout: 5 });
  }
}
