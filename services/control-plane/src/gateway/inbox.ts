/**
 * Each node's inbox in Redis: a list of what it was assigned, a list of what it has leased, and when each lease
 * ends. Leasing moves (LMOVE) an element, acknowledging removes it, and a lease that ran out goes back to the
 * front. Each step is one script, so a crash between two of them loses nothing. The inbox is only a nudge with
 * content: PostgreSQL holds what each node should run, and the sweep fills an emptied Redis again.
 */
import { Assignment } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import type { Logger } from "pino";
import { batched } from "../batch.ts";
import type { RedisClient } from "../queue/redis.ts";
import type { NodeAssignment } from "../rollouts/assign.ts";

/** One channel for the whole fleet; a message is the nodes that have something, joined by spaces. */
export const DOORBELL = "picket:doorbell";
/** Likewise, the nodes that are to report now. */
export const REPORT = "picket:report";

const keys = (node: NodeId) => [
  `picket:inbox:{${node}}`,
  `picket:leased:{${node}}`,
  `picket:leases:{${node}}`,
];

/** Elements are `<rule set> <assignment id> <JSON>`: what scripts compare stands in front. */
const element = (assignment: Assignment): string =>
  `${assignment.ruleSet} ${assignment.id} ${JSON.stringify(assignment)}`;

/** An inbox nobody empties for a week belongs to a node that is gone. */
const TTL_S = 7 * 86_400;

// What is waiting for the same rule set is replaced: only the newest says anything. What is already waiting or
// leased is not added twice. Answers 1 when there is something to lease, new or not, and 0 when its lease
// still runs.
const OFFER = `
local ruleset, id = string.match(ARGV[1], "^(%S+) (%S+) ")
for i, key in ipairs({KEYS[1], KEYS[2]}) do
  for _, element in ipairs(redis.call("LRANGE", key, 0, -1)) do
    local other, known = string.match(element, "^(%S+) (%S+) ")
    if known == id then
      if i == 1 or tonumber(redis.call("HGET", KEYS[3], id) or "0") <= tonumber(ARGV[3]) then return 1 end
      return 0
    end
    if other == ruleset then
      redis.call("LREM", key, 1, element)
      redis.call("HDEL", KEYS[3], known)
    end
  end
end
redis.call("RPUSH", KEYS[1], ARGV[1])
redis.call("EXPIRE", KEYS[1], ARGV[2])
return 1`;

const LEASE = `
for _, element in ipairs(redis.call("LRANGE", KEYS[2], 0, -1)) do
  local id = string.match(element, "^%S+ (%S+) ")
  local ends = tonumber(redis.call("HGET", KEYS[3], id) or "0")
  if ends <= tonumber(ARGV[1]) then
    redis.call("LREM", KEYS[2], 1, element)
    redis.call("HDEL", KEYS[3], id)
    redis.call("LPUSH", KEYS[1], element)
  end
end
local element = redis.call("LMOVE", KEYS[1], KEYS[2], "LEFT", "RIGHT")
if not element then return false end
redis.call("HSET", KEYS[3], string.match(element, "^%S+ (%S+) "), ARGV[2])
for _, key in ipairs(KEYS) do redis.call("EXPIRE", key, ARGV[3]) end
return element`;

const ACKNOWLEDGE = `
local removed = 0
for _, key in ipairs({KEYS[1], KEYS[2]}) do
  for _, element in ipairs(redis.call("LRANGE", key, 0, -1)) do
    if string.match(element, "^%S+ (%S+) ") == ARGV[1] then removed = removed + redis.call("LREM", key, 1, element) end
  end
end
redis.call("HDEL", KEYS[3], ARGV[1])
return removed`;

type Scripted = RedisClient & {
  picketOffer(...args: (string | number)[]): Promise<number>;
  picketLease(...args: (string | number)[]): Promise<string | null>;
  picketAcknowledge(...args: (string | number)[]): Promise<number>;
};

/** Small enough that a slow Redis answers within a command's time. */
const BATCH = 500;

export class Inbox {
  readonly #redis: Scripted;
  readonly #log: Logger;
  readonly #clock: () => number;

  constructor(redis: RedisClient, log: Logger, clock: () => number) {
    redis.defineCommand("picketOffer", { numberOfKeys: 3, lua: OFFER });
    redis.defineCommand("picketLease", { numberOfKeys: 3, lua: LEASE });
    redis.defineCommand("picketAcknowledge", { numberOfKeys: 3, lua: ACKNOWLEDGE });
    this.#redis = redis as Scripted;
    this.#log = log;
    this.#clock = clock;
  }

  /** Puts assignments into inboxes and rings once per batch. Never throws: the rows are committed already. */
  async offer(assigned: readonly NodeAssignment[]): Promise<void> {
    const failed: unknown[] = [];
    for (let from = 0; from < assigned.length; from += BATCH)
      await this.#offerBatch(assigned.slice(from, from + BATCH)).catch(error => failed.push(error));
    if (failed.length > 0)
      this.#log.warn(
        { error: failed[0], batches: failed.length, assigned: assigned.length },
        "inboxes not filled; the sweep repairs it",
      );
  }

  async #offerBatch(batch: readonly NodeAssignment[]): Promise<void> {
    const waits = await Promise.all(
      batch.map(({ node, assignment }) =>
        this.#redis.picketOffer(...keys(node), element(assignment), TTL_S, this.#clock()),
      ),
    );
    // Also for what waited before: its ring, or the answer with its lease, may be what was lost.
    const ring = new Set(batch.flatMap(({ node }, i) => (waits[i] === 1 ? [node] : [])));
    if (ring.size > 0) await this.#redis.publish(DOORBELL, [...ring].join(" "));
  }

  /** Never throws: who does not hear it reports at its own pace. */
  async askToReport(nodes: readonly NodeId[]): Promise<void> {
    if (nodes.length === 0) return;
    await this.#redis
      .publish(REPORT, nodes.join(" "))
      .catch(error => this.#log.warn({ error }, "watched nodes were not asked for a report"));
  }

  /** The next assignment, leased until `nowMs + leaseMs`; null when nothing waits. */
  lease(node: NodeId, { nowMs, leaseMs }: { nowMs: number; leaseMs: number }): Promise<Assignment | null> {
    return this.#leases({ node, nowMs, leaseMs });
  }

  /** False: it was not there (acknowledged before, or Redis was emptied); nothing is wrong with that. */
  acknowledge(node: NodeId, assignment: string): Promise<boolean> {
    return this.#acknowledgements({ node, assignment });
  }

  // A wave wakes thousands of polls at once. All their commands in one write would run into the command's timeout
  // on a busy host, leases taken and answers lost; so batches follow one another.
  readonly #leases = batched(
    (asked: { node: NodeId; nowMs: number; leaseMs: number }[]) =>
      Promise.all(
        asked.map(async ({ node, nowMs, leaseMs }) => {
          const leased = await this.#redis.picketLease(...keys(node), nowMs, nowMs + leaseMs, TTL_S);
          return leased === null
            ? null
            : Assignment.parse(JSON.parse(leased.slice(leased.indexOf(" {") + 1)));
        }),
      ),
    { most: BATCH },
  );

  readonly #acknowledgements = batched(
    (asked: { node: NodeId; assignment: string }[]) =>
      Promise.all(
        asked.map(
          async ({ node, assignment }) =>
            (await this.#redis.picketAcknowledge(...keys(node), assignment)) > 0,
        ),
      ),
    { most: BATCH },
  );
}
