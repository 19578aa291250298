/** What is held, and how, follows the rule versions and the workloads: the slot's settings, the keeper's policy, and
 * which enforced workloads the kernel holds statements of. */

import { OnFailure } from "@picket/native/events";
import type { Workload } from "@picket/shared/control-socket";
import type { Labels } from "@picket/shared/vocabulary";
import type { HoldSettings } from "../capture/slot.ts";
import type { CompiledRules } from "../rules/judging.ts";
import type { HoldingRules } from "../rules/versions.ts";
import type { Workloads } from "../workloads/workloads.ts";
import { FAIL_MASK, type Holding } from "./holding.ts";
import { planFor } from "./plan.ts";

/** New shapes of one connection within a second: far more than any application has, and an attacker's flood ends. */
const HOLD_BURST = 10_000;

export function createHoldingRules(input: {
  holding: Holding;
  workloads: () => Workloads;
  /** The node's. */
  labels: () => Labels;
  /** Open connections have to be looked at again. */
  moved: () => void;
}): HoldingRules & { refresh(): void } {
  const { holding } = input;
  let live: readonly CompiledRules[] = [];
  const planOf = ({ name, labels }: Workload) =>
    planFor(live, { workload: name, labels: { ...input.labels(), ...labels } });

  function refresh(): void {
    if (live.length === 0) return;
    const workloads = input.workloads();
    holding.setPolicy(
      live,
      workloads.list().map(workload => ({ id: workload.id, plan: planOf(workload) })),
    );
    if (workloads.holdBy(workload => planOf(workload).held)) input.moved();
  }

  return {
    settings: parts => slotSettings(parts),
    prepare: (version, parts) => holding.prepare(version, parts),
    discard: version => holding.discard(version),
    switched(parts) {
      live = parts;
      refresh();
    },
    /** On a timer: workloads come and go. */
    refresh,
  };
}

function slotSettings(parts: readonly CompiledRules[]): HoldSettings {
  const held = parts.filter(({ holdAny }) => holdAny.held);
  return {
    holdBytesMax: Math.max(0, ...held.map(({ holdAny }) => holdAny.maxHeldBytes)),
    holdBurst: HOLD_BURST,
    failMask: FAIL_MASK,
    onFailure: planFor(parts, {}).policy.onFailure === "closed" ? OnFailure.CLOSED : OnFailure.OPEN,
  };
}
