import { PassThrough } from "node:stream";
import type { Assignment } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { expect, test } from "vitest";
import type { Ctx } from "../context.ts";
import { createMetrics } from "../metrics.ts";
import { lease, type Poll } from "./lease.ts";
import { Waiters } from "./waiters.ts";

const node = "n" as NodeId;
const assignment = { id: "a", version: 1 } as unknown as Assignment;

/** A context whose inbox answers as told, in order. */
function contextWith(looks: (() => Assignment | null)[]): Ctx {
  return {
    actor: { kind: "node", node },
    clock: () => 0,
    random: () => Buffer.from([0]),
    config: { leaseMs: 30_000 },
    metrics: createMetrics(),
    inbox: { lease: async () => looks.shift()!() },
  } as unknown as Ctx;
}

const ask = (ctx: Ctx, waiters: Waiters, poll = new PassThrough()) =>
  lease({ ctx, input: { waitMs: 600_000, readTo: null, poll: poll as unknown as Poll }, waiters });

test("what arrives while the inbox is being looked into is not slept over", async () => {
  const waiters = new Waiters();
  const lookThatMisses = () => {
    waiters.ring(node); // Put in and rung a moment after the look.
    return null;
  };
  const leased = await ask(contextWith([lookThatMisses, () => assignment]), waiters);
  expect(leased).toEqual({ assignment, leaseExpiresAt: "1970-01-01T00:00:30.000Z" });
});

test("a poll that was given up takes no lease along", async () => {
  const waiters = new Waiters();
  const gone = new PassThrough();
  const asked = ask(
    contextWith([
      () => null,
      () => {
        throw new Error("looked for somebody who has gone");
      },
    ]),
    waiters,
    gone,
  );
  await Promise.resolve();
  gone.destroy();
  expect(await asked).toBeNull();
  expect(waiters.size).toBe(0);
});

test("an inbox that cannot be looked into ends the poll at once and leaves no waiter", async () => {
  const waiters = new Waiters();
  await expect(ask(contextWith([away]), waiters)).rejects.toThrow("timed out");
  expect(waiters.size).toBe(0);
});

const away = () => {
  throw new Error("Command timed out");
};
test.each<[string, () => Assignment | null]>([
  ["there is nothing", () => null],
  ["Redis is away", away],
])("a poll that is rung while %s goes on waiting", async (_, look) => {
  const waiters = new Waiters();
  const asked = ask(contextWith([() => null, look, () => assignment]), waiters);
  for (let rings = 0; rings < 2; rings++) {
    await new Promise(resolve => setImmediate(resolve));
    waiters.ringAll();
  }
  expect(await asked).toMatchObject({ assignment });
});
