/** Brings a small fleet to an interesting moment, by the API alone: version 2 everywhere, version 3 at its canary. */
import type { RolloutDetails } from "@picket/shared/api";
import type { Assignment, Installed } from "@picket/shared/contract";
import type { ControlPlane } from "./control-plane.ts";
import { active, hosts, refused } from "./fleet.ts";
import { enrol, type SimulatedNode } from "./node.ts";
import { type Author, author } from "./rules.ts";

export interface Fleet {
  nodes: SimulatedNode[];
  author: Author;
}

export const install =
  (before: readonly Installed[] = []) =>
  (assignment: Assignment): Installed[] => {
    const { version, bundle, id, generation, share } = assignment;
    const candidate = active(version, bundle, { sinceMs: Date.now(), share, assignment: id, generation });
    const stable = before.flatMap(each =>
      each.kind === "active" && each.version !== version && share < 10_000
        ? [{ ...each, share: 10_000 - share }]
        : [],
    );
    return [candidate, ...stable];
  };

export const refuse =
  (kept: number | null) =>
  ({ version, id, generation }: Assignment): Installed[] => [
    refused(version, kept, { sinceMs: Date.now(), assignment: id, generation }),
  ];

export async function enrolFleet({ url, api }: ControlPlane): Promise<Fleet> {
  const writer = await author(api);
  const nodes: SimulatedNode[] = [];
  for (const host of hosts) nodes.push(await enrol({ url, api, host }));
  for (const node of nodes) await node.report();
  return { nodes, author: writer };
}

export function startRollout(
  { api }: ControlPlane,
  version: number,
  steps: { percent: number; soak: string; share?: number }[],
): Promise<RolloutDetails> {
  return api<RolloutDetails>("POST", "/v1/rollouts", { ruleSet: "shop", version, steps });
}

/** The nodes that a step takes, in the order in which they are reached. */
export function nodesOfStep(rollout: RolloutDetails, step: number, { nodes }: Fleet): SimulatedNode[] {
  return rollout.nodesPlanned
    .filter(each => each.step === step)
    .flatMap(each => nodes.filter(node => node.id === each.node));
}

export async function until<T>(
  what: string,
  ask: () => Promise<T>,
  good: (answer: T) => boolean,
  timeoutMs = 40_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (good(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`never: ${what}; last ${JSON.stringify(answer)}`);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

/** One step over all nodes, to its end. */
export async function rollOutEverywhere(plane: ControlPlane, fleet: Fleet, version: number): Promise<void> {
  await fleet.author.push(version);
  const { id } = await startRollout(plane, version, [{ percent: 100, soak: "1ms" }]);
  await Promise.all(fleet.nodes.map(node => node.take(install())));
  await until(
    `version ${version} everywhere`,
    async () => {
      for (const node of fleet.nodes) await node.report();
      return plane.api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
    },
    ({ state }) => state === "complete",
  );
}
