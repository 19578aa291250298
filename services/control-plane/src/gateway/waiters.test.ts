import type { NodeId } from "@picket/shared/ids";
import { expect, test } from "vitest";
import { Waiters } from "./waiters.ts";

const node = "n" as NodeId;

test("what rings between registering and waiting is not lost", async () => {
  const waiters = new Waiters();
  const waiter = waiters.register(node);
  waiters.ring(node);
  expect(await waiter.rung(60_000)).toBe(true);
});

test("another node's bell wakes nobody", async () => {
  const waiters = new Waiters();
  const waiter = waiters.register(node);
  waiters.ring("other" as NodeId);
  expect(await waiter.rung(1)).toBe(false);
});

test("a newer poll of the same node ends the older one and takes its place", async () => {
  const waiters = new Waiters();
  const older = waiters.register(node);
  const newer = waiters.register(node);
  expect(await older.rung(60_000)).toBe(false);
  older.end(); // Must not remove the newer one.
  waiters.ring(node);
  expect(await newer.rung(60_000)).toBe(true);
});

test("nothing is remembered of polls that ended", () => {
  const waiters = new Waiters();
  const ends = [waiters.register(node), waiters.register("other" as NodeId)];
  expect(waiters.size).toBe(2);
  for (const waiter of ends) waiter.end();
  expect(waiters.size).toBe(0);
});

test("after an outage of the bell everybody looks", async () => {
  const waiters = new Waiters();
  const waiter = waiters.register(node);
  waiters.ringAll();
  expect(await waiter.rung(60_000)).toBe(true);
});

test("shared verdicts wake who has not read so far, and nobody else", async () => {
  const waiters = new Waiters();
  const behind = waiters.register("behind" as NodeId, 4).rung(600_000);
  const upToDate = waiters.register("up to date" as NodeId, 5).rung(600_000);
  const takesNoPart = waiters.register("takes no part" as NodeId).rung(600_000);
  waiters.issued(5);
  waiters.issued(3); // Heard late: nothing is unread by it.
  expect(waiters.verdicts).toBe(5);
  waiters.forgetIssued(); // The bell was away: what is said then holds, though it be less.
  waiters.issued(2);
  expect(waiters.verdicts).toBe(2);
  waiters.close();
  expect(await Promise.all([behind, upToDate, takesNoPart])).toEqual([true, false, false]);
});
