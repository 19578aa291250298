/**
 * Each node's inbox in Redis: a list of what it was assigned, a list of what it has leased, and when each lease
 * ends. Leasing moves (LMOVE) an element, acknowledging removes it, and a lease that ran out goes back to the
 * front. Each step is one script, so a crash between two of them loses nothing. The inbox is only a nudge with
 * content: PostgreSQL holds what each node should run, and the sweep fills an emptied Redis again.
 */
import { Assignment } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import type { Logger } from "pino";
import type { RedisClient } from "../queue/redis.ts";
import type { NodeAssignment } from "../rollouts/assign.ts";

/** One channel for the whole fleet; a message is the nodes that have something, joined by spaces. */
export const DOORBELL = "picket:doorbell";

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
// leased is not added twice. Answers 1 when something new waits.
const OFFER = `
local ruleset, id = string.match(ARGV[1], "^(%S+) (%S+) ")
for _, key in ipairs({KEYS[1], KEYS[2]}) do
  for _, element in ipairs(redis.call("LRANGE", key, 0, -1)) do
    local other, known = string.match(element, "^(%S+) (%S+) ")
    if known == id then return 0 end
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

const BATCH = 1_000;

export class Inbox {
  readonly #redis: Scripted;
  readonly #log: Logger;

  constructor(redis: RedisClient, log: Logger) {
    redis.defineCommand("picketOffer", { numberOfKeys: 3, lua: OFFER });
    redis.defineCommand("picketLease", { numberOfKeys: 3, lua: LEASE });
    redis.defineCommand("picketAcknowledge", { numberOfKeys: 3, lua: ACKNOWLEDGE });
    this.#redis = redis as Scripted;
    this.#log = log;
  }

  /** Puts assignments into inboxes and rings once per batch. Never throws: the rows are committed already. */
  async offer(assigned: readonly NodeAssignment[]): Promise<void> {
    try {
      for (let from = 0; from < assigned.length; from += BATCH) {
        const batch = assigned.slice(from, from + BATCH);
        const added = await Promise.all(
          batch.map(({ node, assignment }) =>
            this.#redis.picketOffer(...keys(node), element(assignment), TTL_S),
          ),
        );
        // What waits already has rung; a sweep must not wake everybody again.
        const ring = new Set(batch.flatMap(({ node }, i) => (added[i] === 1 ? [node] : [])));
        if (ring.size > 0) await this.#redis.publish(DOORBELL, [...ring].join(" "));
      }
    } catch (error) {
      this.#log.warn({ error, assigned: assigned.length }, "inboxes not filled; the sweep repairs it");
    }
  }

  /** The next assignment, leased until `nowMs + leaseMs`; null when nothing waits. */
  async lease(
    node: NodeId,
    { nowMs, leaseMs }: { nowMs: number; leaseMs: number },
  ): Promise<Assignment | null> {
    const leased = await this.#redis.picketLease(...keys(node), nowMs, nowMs + leaseMs, TTL_S);
    return leased === null ? null : Assignment.parse(JSON.parse(leased.slice(leased.indexOf(" {") + 1)));
  }

  /** False: it was not there (acknowledged before, or Redis was emptied); nothing is wrong with that. */
  async acknowledge(node: NodeId, assignment: string): Promise<boolean> {
    return (await this.#redis.picketAcknowledge(...keys(node), assignment)) > 0;
  }
}
