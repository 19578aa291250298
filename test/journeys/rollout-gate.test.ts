/**
 * The rollout that stops itself, on real agents and a real database: a version that slows the database is rolled back
 * by what the kernels of its nodes clocked, long before its soak is over, and one that blocks the shop's own statements
 * by what was blocked, not by the errors that stand in for them.
 */
import type { DecisionDetails, RolloutDetails } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../harness/agent.ts";
import { startComparedFleet } from "../harness/compared-fleet.ts";

let fleet: Awaited<ReturnType<typeof startComparedFleet>>;
beforeAll(async () => {
  fleet = await startComparedFleet();
}, 480_000);
afterAll(() => fleet?.stop(), 120_000);

async function rolledBack(version: number): Promise<{ ended: RolloutDetails; decision: DecisionDetails }> {
  const id = await fleet.start(version);
  let last: RolloutDetails | undefined;
  const ended = await eventually(
    async () => {
      last = await fleet.rollout(id);
      return last.state === "rolled-back" ? last : undefined;
    },
    `version ${version} is rolled back`,
    300_000,
  ).catch(error => {
    throw new Error(`${(error as Error).message}\n${JSON.stringify(last?.lastDecision, null, 1)}`);
  });
  const { id: decided } = ended.decisions.find(({ kind }) => kind === "roll-back")!;
  return {
    ended,
    decision: await fleet.controlPlane.picket<DecisionDetails>(
      "rollout",
      "explain",
      id,
      "--decision",
      String(decided),
    ),
  };
}

const worse = ({ signals }: DecisionDetails) =>
  signals!.filter(({ finding }) => finding === "worse").map(({ signal }) => signal);

async function everybodyRuns(version: number): Promise<void> {
  for (const { agent } of fleet.nodes) {
    const { installed } = (await agent.status()).report;
    expect(installed.find(({ ruleSet }) => ruleSet === "shop")).toMatchObject({ kind: "active", version });
  }
}

test("a version whose rule holds every use of a statement is rolled back by latency, and its nodes are on stable again", async () => {
  const { ended, decision } = await rolledBack(2);
  expect(ended).toMatchObject({ step: 0, gate: { compare: "required" } });
  expect(worse(decision)).toContain("latency");
  expect(worse(decision)).not.toContain("database-errors");
  expect(decision.because).toMatch(/^the canary is worse: .*responses that took [\d.]+ [µm]?s or longer \d/);
  expect(decision.replayed).toMatchObject({ same: true });
  await everybodyRuns(1);
}, 400_000);

test("a version that blocks more is rolled back by what it blocked: Picket's own denials are no database errors", async () => {
  const { decision } = await rolledBack(3);
  expect(worse(decision)).toEqual(["blocked"]);
  const errors = decision.signals!.find(({ signal }) => signal === "database-errors")!;
  // The simulated nodes have errors, the real ones none; of those blocked on the canary none is among them.
  expect(errors.canary!.hits).toBeLessThan(
    decision.signals!.find(({ signal }) => signal === "blocked")!.canary!.hits / 5,
  );
  await everybodyRuns(1);
}, 400_000);
