// What the journeys stand on: real servers and real cgroups. One implementation serves the tests and
// the demo, so it lives with the other things that start servers.

import { startMariaDB as startDistributions, startMySQL } from "@picket/infra/databases";

export { type Certificate, makeCertificate } from "@picket/infra/certificates";
export { type Cgroup, cgroup2Mount, inCgroup, makeCgroup, removeCgroup } from "@picket/infra/cgroup";
export { type Database, type DatabaseOptions, startPostgreSQL } from "@picket/infra/databases";
export {
  startPostgres as startEmbeddedPostgres,
  startRedis as startEmbeddedRedis,
} from "@picket/infra/embedded";

/** The journeys run against MySQL itself, instead of MariaDB, where PICKET_MYSQLD names its server program. */
export const startMariaDB = process.env.PICKET_MYSQLD ? startMySQL : startDistributions;
