/**
 * Past a set percentage nobody rolls out alone: such a step waits for approval, and whoever started the rollout
 * cannot give it, nor promote past it. Stopping needs one person only. People are told apart by their tokens' labels.
 */
import type { RolloutStep } from "@picket/shared/api";
import { type Actor, actorName } from "../context.ts";
import { Refusal } from "../refusal.ts";

/** `abovePercent` null: no second person is asked for. */
export function withSecondPerson(steps: RolloutStep[], abovePercent: number | null): RolloutStep[] {
  return steps.map(step =>
    abovePercent !== null && step.percent > abovePercent ? { ...step, requireApproval: true } : step,
  );
}

/** `step` is the one to begin; past the last one nobody new is reached. */
export function refuseOwnApproval(
  actor: Actor,
  rollout: { createdBy: string; steps: readonly RolloutStep[] },
  step: number,
  abovePercent: number | null,
): void {
  const percent = rollout.steps[step]?.percent;
  if (abovePercent === null || percent === undefined || percent <= abovePercent) return;
  if (actorName(actor) !== rollout.createdBy) return;
  throw new Refusal(
    "forbidden",
    `${percent} % is past ${abovePercent} %: another person than ${rollout.createdBy}, who started it, must approve`,
  );
}
