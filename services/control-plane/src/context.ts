/**
 * What every verb is given. Nothing here is global: the clock and randomness are arguments, so that tests choose
 * them, and the HTTP app holds no state between requests.
 */
import type { Role } from "@picket/shared/api";
import type { NodeId } from "@picket/shared/ids";
import type { Labels } from "@picket/shared/vocabulary";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import type { Db } from "./db/client.ts";
import type { Inbox } from "./gateway/inbox.ts";
import type { Resource } from "./identity/engine.ts";
import type { Policies } from "./identity/policies.ts";
import type { Provider } from "./identity/sso/provider.ts";
import type { Metrics } from "./metrics.ts";
import type { NodeKeys } from "./nodes/keys.ts";
import type { FleetPace } from "./nodes/pace.ts";
import type { CallRates } from "./nodes/rate.ts";
import type { UsedTokens } from "./nodes/replay.ts";
import type { Jobs } from "./queue/jobs.ts";
import type { RedisClient } from "./queue/redis.ts";

/** Who acts. Its name is what the audit log shows. */
export type Actor =
  | {
      kind: "person";
      name: string;
      role: Role;
      /** What they reach carries these labels; empty: everything. */
      scope: Labels;
      /** The API token's id; null: signed in by single sign-on. */
      token: string | null;
      via: "token" | "session";
    }
  /** `key`: the public key that has signed the call; absent where the node acts by enrolling. */
  | { kind: "node"; node: NodeId; key?: string }
  | { kind: "system"; name: string }
  | { kind: "anyone" };

export interface Services {
  config: Config;
  db: Db;
  redis: RedisClient;
  jobs: Jobs;
  inbox: Inbox;
  nodeKeys: NodeKeys;
  callRates: CallRates;
  pace: FleetPace;
  usedTokens: UsedTokens;
  policies: Policies;
  /** Null: there is no single sign-on. */
  sso: Provider | null;
  metrics: Metrics;
  log: Logger;
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** So many random bytes. */
  random: (bytes: number) => Buffer;
  /** Fires when the process is about to stop: what waits ends. */
  closing: AbortSignal;
}

export interface Ctx extends Services {
  actor: Actor;
  /** What the request acts on, where a route was asked. */
  resource?: Resource;
}

export const now = (ctx: Pick<Services, "clock">): Date => new Date(ctx.clock());

/** A version 4 UUID (RFC 9562) from the context's randomness. */
export function uuid(ctx: Pick<Services, "random">): string {
  const bytes = ctx.random(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case "person":
      return actor.name;
    case "node":
      return `node:${actor.node}`;
    case "system":
      return actor.name;
    case "anyone":
      return "anyone";
  }
}

export const asSystem = (services: Services, name: string): Ctx => ({
  ...services,
  actor: { kind: "system", name },
});
