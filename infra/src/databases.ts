// Real MariaDB and PostgreSQL servers of the distribution's packages, on data directories of their own
// and a loopback port that was free: for tests and for the demo's shop.

export type { Database, DatabaseOptions } from "./databases/common.ts";
export { startMariaDB } from "./databases/mariadb.ts";
export { startMySQL } from "./databases/mysql.ts";
export { type PostgreSQL, type PostgreSQLOptions, startPostgreSQL } from "./databases/postgresql.ts";
