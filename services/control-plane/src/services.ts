/** Opens what a process needs, in the order it is needed, and closes it in reverse. */
import { randomBytes } from "node:crypto";
import type { Config } from "./config.ts";
import { asSystem, type Services } from "./context.ts";
import { connect } from "./db/client.ts";
import { migrate } from "./db/migrate.ts";
import { Inbox } from "./gateway/inbox.ts";
import { Policies } from "./identity/policies.ts";
import { Provider } from "./identity/sso/provider.ts";
import { anyApiToken, bootstrap } from "./identity/tokens.ts";
import { createLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { findKeys, NodeKeys } from "./nodes/keys.ts";
import { FleetPace } from "./nodes/pace.ts";
import { CallRates } from "./nodes/rate.ts";
import { UsedTokens } from "./nodes/replay.ts";
import { connectJobs } from "./queue/jobs.ts";
import { connectRedis, failFast, untilReady } from "./queue/redis.ts";

export interface OpenServices extends Services {
  /** Fires `closing`: what is long ends early. */
  beginClosing(): void;
  close(): Promise<void>;
}

/** What a test chooses itself. */
export type Chosen = Partial<Pick<Services, "clock" | "random">>;

export async function openServices(
  config: Config,
  name: string,
  { clock = Date.now, random = randomBytes }: Chosen = {},
): Promise<OpenServices> {
  const log = createLog({ name, level: config.logLevel });
  const metrics = createMetrics({ processMetrics: true });
  await migrate(config.databaseUrl);
  const database = connect(config.databaseUrl, { name });
  const redis = connectRedis(config.redisUrl, failFast, log, "commands");
  await untilReady(redis, 5_000);
  const jobs = connectJobs(config.redisUrl, { log, metrics });
  const closing = new AbortController();
  const services: OpenServices = {
    config,
    db: database.db,
    redis,
    jobs,
    inbox: new Inbox(redis, log, clock),
    nodeKeys: new NodeKeys(asked => findKeys(database.db, asked), clock),
    callRates: new CallRates(),
    pace: new FleetPace(database.db, clock, config.idleCallsPerSecond),
    usedTokens: new UsedTokens(redis, metrics),
    policies: new Policies(database.db),
    sso: config.oidc ? new Provider(config.oidc) : null,
    metrics,
    log,
    clock,
    random,
    closing: closing.signal,
    beginClosing: () => closing.abort(),
    async close() {
      closing.abort();
      await jobs.close();
      redis.disconnect();
      await database.close();
    },
  };
  const ctx = asSystem(services, "system:start");
  if (config.bootstrapToken !== undefined) await bootstrap({ ctx, input: { token: config.bootstrapToken } });
  else if (!(await anyApiToken(ctx)))
    log.warn(
      "nobody can sign in yet: start once with PICKET_BOOTSTRAP_TOKEN=pkt_<at least 20 random characters>",
    );
  return services;
}
