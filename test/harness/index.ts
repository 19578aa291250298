// What the journeys stand on: real servers and real cgroups. One implementation serves the tests and
// the demo, so it lives with the other things that start servers.

export { type Certificate, makeCertificate } from "@picket/infra/certificates";
export { type Cgroup, cgroup2Mount, inCgroup, makeCgroup, removeCgroup } from "@picket/infra/cgroup";
export { type Database, type DatabaseOptions, startMariaDB, startPostgreSQL } from "@picket/infra/databases";
export {
  startPostgres as startEmbeddedPostgres,
  startRedis as startEmbeddedRedis,
} from "@picket/infra/embedded";
