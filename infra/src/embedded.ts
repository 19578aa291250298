// PostgreSQL and Redis for one host, without a service of the distribution: both listen on a unix
// socket inside a directory that only their account and root can enter, and both keep what they were
// given across a crash. For production, set DATABASE_URL and REDIS_URL instead.

export { type EmbeddedPostgres, startPostgres } from "./embedded/postgres.ts";
export { type EmbeddedRedis, startRedis } from "./embedded/redis.ts";
