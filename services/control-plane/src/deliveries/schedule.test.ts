import { expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { nextAttempt, type Outcome } from "./schedule.ts";

const answered = (status: number, retryAfterMs: number | null = null): Outcome => ({
  kind: "answered",
  status,
  retryAfterMs,
});
const failed: Outcome = { kind: "failed", error: "ECONNREFUSED" };
const scheduleMs = [100, 1_000];
const decide = (outcome: Outcome, attempts: number, random = 0.5) =>
  nextAttempt(outcome, { attempts, scheduleMs, random });

test.each([
  ["2xx is delivered", answered(204), 1, { kind: "delivered" }],
  ["a redirect is not followed and not a success", answered(302), 1, { kind: "retry", inMs: 100 }],
  ["500 is tried again", answered(500), 1, { kind: "retry", inMs: 100 }],
  ["later attempts wait longer", answered(500), 2, { kind: "retry", inMs: 1_000 }],
  ["no connection is tried again", failed, 1, { kind: "retry", inMs: 100 }],
  ["Retry-After is kept to", answered(429, 5_000), 1, { kind: "retry", inMs: 5_000 }],
  ["Retry-After never shortens the wait", answered(503, 1), 2, { kind: "retry", inMs: 1_000 }],
  ["no receiver asks for more than a day", answered(503, 1e12), 1, { kind: "retry", inMs: 86_400_000 }],
] as const)("%s", (_, outcome, attempts, expected) => {
  expect(decide(outcome, attempts)).toEqual(expected);
});

test("the attempt after the last delay is the dead letter", () => {
  expect(decide(failed, 3)).toMatchObject({ kind: "dead", disable: false });
});

test("410 Gone ends the delivery and disables the webhook at once", () => {
  expect(decide(answered(410), 1)).toMatchObject({ kind: "dead", disable: true });
});

test("an address that policy refuses is not tried again", () => {
  expect(decide({ kind: "refused", error: "private" }, 1)).toMatchObject({ kind: "dead", disable: false });
});

test("delays are spread by a fifth to either side", () => {
  expect(decide(failed, 2, 0)).toEqual({ kind: "retry", inMs: 800 });
  expect(decide(failed, 2, 0.999999)).toEqual({ kind: "retry", inMs: 1_200 });
});

test("the schedule in use goes on for days", () => {
  const { deliveryScheduleMs } = readConfig({ DATABASE_URL: "postgres://x", REDIS_URL: "/x" });
  const days = deliveryScheduleMs.reduce((sum, ms) => sum + ms, 0) / 86_400_000;
  expect(days).toBeGreaterThan(3);
  expect([...deliveryScheduleMs].sort((a, b) => a - b)).toEqual(deliveryScheduleMs);
});
