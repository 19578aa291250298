import { join } from "node:path";
import { type Database, startMariaDB, startPostgreSQL } from "@picket/infra/databases";
import { seedSql } from "./seed.ts";

export type ShopDatabases = {
  mariadb: Database;
  postgresql: Database;
  /** What the shop's processes are given (MARIADB_URL, POSTGRESQL_URL). */
  env: { MARIADB_URL: string; POSTGRESQL_URL: string };
  /** Fills both databases with their first contents again. */
  seed(): Promise<void>;
  stop(): Promise<void>;
};

/** Both servers with the shop's tables; without `dir` they vanish when stopped. */
export async function startShopDatabases({ dir }: { dir?: string } = {}): Promise<ShopDatabases> {
  const options = (name: string) => ({
    user: "shop",
    database: "shop",
    ...(dir === undefined ? {} : { dir: join(dir, name) }),
  });
  const started = await Promise.allSettled([
    startMariaDB(options("mariadb")),
    startPostgreSQL(options("postgresql")),
  ]);
  const [mariadb, postgresql] = started.map(result =>
    result.status === "fulfilled" ? result.value : undefined,
  );
  const stop = async (): Promise<void> => {
    await Promise.all([mariadb?.stop(), postgresql?.stop()]);
  };
  const failure = started.find(result => result.status === "rejected");
  if (failure !== undefined || mariadb === undefined || postgresql === undefined) {
    await stop();
    throw failure?.reason;
  }
  const seed = async (): Promise<void> => {
    await Promise.all([
      mariadb.exec(`USE shop; ${seedSql("mariadb")}`),
      postgresql.exec(`\\connect shop\nSET ROLE shop;\n${seedSql("postgresql")}`),
    ]);
  };
  try {
    await seed();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    mariadb,
    postgresql,
    env: { MARIADB_URL: url("mysql", mariadb), POSTGRESQL_URL: url("postgres", postgresql) },
    seed,
    stop,
  };
}

function url(scheme: string, { host, port, user, password, database }: Database): string {
  return `${scheme}://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
}
