/**
 * What an application loses: point selects against a real MariaDB and PostgreSQL with no agent, with an agent that
 * observes, and with one that enforces. The three are interleaved in rounds, since the machine is shared; what is
 * told is the median over the rounds of the ratio within a round. Clients: pgbench -S (simple protocol) and
 * mariadb-slap, one connection, no think time, so that the whole cost of a statement is seen.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Cgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { guarded, median, output, row } from "./guarded.ts";

type Database = { port: number; user: string; password: string; database: string };
type Client = (cgroup: Cgroup | null, seconds: number) => Promise<number>;

function pgbench({ port, user, password, database }: Database) {
  const folder = "/usr/lib/postgresql";
  const binary = readdirSync(folder)
    .map(version => join(folder, version, "bin/pgbench"))
    .find(existsSync);
  if (!binary) throw new Error("pgbench is not installed: apt-get install postgresql-contrib");
  const common = ["-h", "127.0.0.1", "-p", String(port), "-U", user, database];
  const env = { PGPASSWORD: password, PGSSLMODE: "disable" };
  return {
    prepare: () => output(null, [binary, "-i", "-q", "-s", "1", ...common], env),
    client: (async (cgroup, seconds) => {
      const printed = await output(
        cgroup,
        [binary, "-S", "-n", "-c", "1", "-T", String(seconds), ...common],
        env,
      );
      return Number(/tps = ([\d.]+)/.exec(printed)![1]);
    }) satisfies Client,
  };
}

function slap({ port, user, password, database }: Database): Client {
  return async (cgroup, seconds) => {
    const queries = 6_000 * seconds;
    const begin = performance.now();
    await output(
      cgroup,
      [
        "mariadb-slap",
        "--no-defaults",
        "-h127.0.0.1",
        `-P${port}`,
        `-u${user}`,
        `--create-schema=${database}`,
        "--no-drop",
        "--concurrency=1",
        `--number-of-queries=${queries}`,
        "--query=SELECT id, name FROM products WHERE id = 7",
      ],
      { MYSQL_PWD: password },
    );
    return queries / ((performance.now() - begin) / 1_000);
  };
}

export async function run({ json = false, seconds = 4 } = {}) {
  const rounds = 5;
  const [mariadb, postgresql] = await Promise.all([startMariaDB(), startPostgreSQL()]);
  try {
    const pg = pgbench(postgresql);
    await pg.prepare();
    await mariadb.exec(`USE ${mariadb.database}; CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(50));
      INSERT INTO products SELECT seq, CONCAT('product ', seq) FROM seq_1_to_10000;`);
    const clients: Record<string, Client> = { MariaDB: slap(mariadb), PostgreSQL: pg.client };
    const rates: Record<string, { off: number[]; observing: number[]; enforcing: number[] }> = {};
    for (const [name, client] of Object.entries(clients)) {
      const measured = { off: [] as number[], observing: [] as number[], enforcing: [] as number[] };
      rates[name] = measured;
      await client(null, 1);
      for (let round = 0; round < rounds; round++) {
        measured.off.push(await client(null, seconds));
        for (const enforce of [false, true])
          await guarded({ enforce }, async (_, cgroup) => {
            await client(cgroup, 1); // The shape becomes known.
            measured[enforce ? "enforcing" : "observing"].push(await client(cgroup, seconds));
          });
      }
    }
    const ratios = Object.fromEntries(
      Object.entries(rates).map(([name, { off, observing, enforcing }]) => [
        name,
        {
          perSecondOff: Math.round(median(off)),
          observing: median(observing.map((rate, i) => rate / off[i]!)),
          enforcing: median(enforcing.map((rate, i) => rate / off[i]!)),
          rounds: off.map((rate, i) => ({ off: rate, observing: observing[i], enforcing: enforcing[i] })),
        },
      ]),
    );
    if (!json)
      for (const [name, one] of Object.entries(ratios)) {
        row(`${name}: point selects/s, no agent`, String(one.perSecondOff));
        row(`${name}: observing / off`, one.observing.toFixed(3));
        row(`${name}: enforcing / off`, one.enforcing.toFixed(3), "≥ 0.97", one.enforcing >= 0.97);
      }
    return { ratios };
  } finally {
    await Promise.all([mariadb.stop(), postgresql.stop()]);
  }
}
