/**
 * Redis connections. The one for commands fails fast (no offline queue), so that a request hears "redis-away";
 * those that wait (workers, the doorbell) retry for ever. Connection errors are logged once per outage.
 */
import { Redis, type RedisOptions } from "ioredis";
import type { Logger } from "pino";

export type RedisClient = Redis;

/** `redis://…`, or the path of a unix socket. */
export function redisOptions(url: string): RedisOptions {
  if (url.startsWith("/")) return { path: url };
  const parsed = new URL(url);
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    port: Number(parsed.port || 6379),
    db: Number(parsed.pathname.slice(1) || 0),
    ...(parsed.username && { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password && { password: decodeURIComponent(parsed.password) }),
    ...(parsed.protocol === "rediss:" && { tls: {} }),
  };
}

export const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 6), 2_000);

export const failFast: RedisOptions = {
  // Commands of one turn of the event loop are one write: a wave is tens of thousands of them.
  enableAutoPipelining: true,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  connectTimeout: 2_000,
  commandTimeout: 3_000,
  retryStrategy,
};

/** For what nobody waits for: given up after one more attempt to connect. */
export const unhurried: RedisOptions = {
  ...failFast,
  enableAutoPipelining: false,
  maxRetriesPerRequest: 1,
  enableOfflineQueue: true,
};

export const patient: RedisOptions = {
  maxRetriesPerRequest: null,
  enableOfflineQueue: true,
  connectTimeout: 2_000,
  retryStrategy,
};

export function connectRedis(url: string, options: RedisOptions, log: Logger, name: string): RedisClient {
  const redis = new Redis({ ...redisOptions(url), ...options } as Omit<RedisOptions, "replyMapping">);
  logOutages(redis, log, name);
  return redis;
}

export function logOutages(
  source: { on(event: "error" | "ready", listener: (error: Error) => void): unknown },
  log: Logger,
  name: string,
): void {
  let away = false;
  source.on("error", error => {
    if (!away) log.warn({ connection: name, error }, "Redis is away");
    away = true;
  });
  source.on("ready", () => {
    if (away) log.info({ connection: name }, "Redis is back");
    away = false;
  });
}

/** Resolves when connected, or after a bound: a process starts with Redis away, too. */
export function untilReady(redis: RedisClient, timeoutMs: number): Promise<void> {
  if (redis.status === "ready") return Promise.resolve();
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer);
      redis.off("ready", done);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    redis.once("ready", done);
  });
}

export function isRedisAway(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause.name === "MaxRetriesPerRequestError" || cause.name === "ClusterAllFailedError") return true;
    if (
      /enableOfflineQueue|Command timed out|Connection is closed|^LOADING|^BUSY |^MASTERDOWN|^READONLY/.test(
        cause.message,
      )
    )
      return true;
    // A command in flight when the connection broke; ioredis marks it with the command.
    if ("command" in cause && /E(CONNREFUSED|CONNRESET|PIPE|TIMEDOUT)/.test(cause.message)) return true;
  }
  return false;
}
