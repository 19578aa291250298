import { InfraError } from "../process.ts";
import { type Database, type DatabaseOptions, run } from "./common.ts";
import { type Product, startProduct } from "./mariadb.ts";

/**
 * MySQL itself, which Debian 12 does not package: PICKET_MYSQLD names its server program.
 * Started without TLS unless it is asked for: MySQL would otherwise make itself a certificate and every client use it.
 */
export async function startMySQL(options: DatabaseOptions = {}): Promise<Database> {
  const command = process.env.PICKET_MYSQLD;
  if (!command)
    throw new InfraError("no-mysql", "PICKET_MYSQLD does not name MySQL's server program, mysqld");
  const database = await startProduct(product(command), {
    ...options,
    settings: { ...(options.tls ? {} : { "tls-version": "" }), ...options.settings },
  });
  // An account's first login sends its password, over a safe way only; the server remembers its hash, and the later
  // logins of any driver need no more than that (MySQL, "Caching SHA-2 Pluggable Authentication").
  const { socket, user, password } = database;
  await run("mariadb", ["--no-defaults", `--socket=${socket}`, `--user=${user}`, "--execute=DO 0"], {
    env: { PATH: process.env.PATH, MYSQL_PWD: password },
  });
  return database;
}

const product = (command: string): Product => ({
  name: "mysql",
  command,
  settings: {
    innodb_redo_log_capacity: "256M",
    mysqlx: "OFF",
    "disable-log-bin": "ON",
    "secure-file-priv": "",
  },
  async initialise({ account, dir }) {
    await run(
      command,
      ["--no-defaults", "--initialize-insecure", "--secure-file-priv=", `--datadir=${dir}`],
      { account },
    );
  },
  createUser: (user, password) =>
    `CREATE USER IF NOT EXISTS '${user}'@'%'; ALTER USER '${user}'@'%' IDENTIFIED BY '${password}'`,
  reloadCertificate: "ALTER INSTANCE RELOAD TLS",
});
