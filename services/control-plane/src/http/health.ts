/** Whether this process is able to work, and if not, for want of what. */
import { sql } from "drizzle-orm";
import type { Services } from "../context.ts";

export interface Readiness {
  ready: boolean;
  /** `ok`, or why not. */
  postgres: string;
  redis: string;
}

export async function readiness(services: Services): Promise<Readiness> {
  const [postgres, redis] = await Promise.all([
    check(services.db.execute(sql`select 1`)),
    check(services.redis.ping()),
  ]);
  return { ready: postgres === "ok" && redis === "ok", postgres, redis };
}

async function check(asked: Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>(resolve => {
    timer = setTimeout(() => resolve("no answer within 2 s"), 2_000);
  });
  const answer = asked.then(
    () => "ok",
    (error: Error) => String((error.cause as Error | undefined)?.message ?? error.message).slice(0, 200),
  );
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
