/** Starts test/application.mjs inside a cgroup and speaks with it line by line. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { inCgroup } from "@picket/infra/cgroup";
import type { Database } from "@picket/infra/databases";

const SCRIPT = fileURLToPath(new URL("./application.mjs", import.meta.url));

export type Answer = { rows?: Record<string, unknown>[]; error?: string; code?: string };
export type Application = {
  pid: number;
  run(sql: string, values?: unknown[]): Promise<Answer>;
  stop(): Promise<void>;
};

export async function startApplication(
  driver: "mysql2" | "pg",
  database: Database,
  cgroup: string,
  { tls = false } = {},
): Promise<Application> {
  const child = inCgroup(cgroup, [process.execPath, SCRIPT, driver, String(database.port)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...process.env,
      DB_USER: database.user,
      DB_PASSWORD: database.password,
      DB_NAME: database.database,
      ...(tls ? { DB_TLS: "1" } : {}),
    },
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async (): Promise<Answer> => {
    const line = await lines.next();
    if (line.done) throw new Error(`the application with ${driver} has ended`);
    return JSON.parse(line.value as string) as Answer;
  };
  await next();
  return {
    pid: child.pid!,
    run(sql, values) {
      child.stdin!.write(`${JSON.stringify({ sql, ...(values ? { values } : {}) })}\n`);
      return next();
    },
    async stop() {
      const exited = once(child, "exit");
      child.stdin!.end();
      await exited;
    },
  };
}
