/** Simulated nodes in processes of their own: what they cost is not the control plane's. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Counts, Plan, Told } from "./process.ts";

export interface Swarm {
  readonly pids: number[];
  counts(options?: { reset?: boolean }): Promise<Counts>;
  /** Every node loses its connection to the gateway now. */
  disconnect(): void;
  stop(): Promise<void>;
}

/** Spread over `processes`; process i comes from 127.0.1.(i + 1). */
export function spawnSwarm(plan: Omit<Plan, "first" | "from">, processes: number): Swarm {
  const children = Array.from({ length: processes }, (_, i) => {
    const child = fork(fileURLToPath(new URL("process.ts", import.meta.url)), {
      execArgv: ["--conditions=source", "--import", "tsx"],
    });
    const first = Math.floor((plan.count * i) / processes);
    tell(child, {
      kind: "plan",
      plan: {
        ...plan,
        first,
        count: Math.floor((plan.count * (i + 1)) / processes) - first,
        from: `127.0.1.${i + 1}`,
        perSecond: plan.perSecond / processes,
        apiConnections: Math.max(1, Math.ceil(plan.apiConnections / processes)),
      },
    });
    return child;
  });
  return {
    pids: children.map(({ pid }) => pid!),
    async counts({ reset = false } = {}) {
      const all = children.map(
        child =>
          new Promise<Counts>((resolve, reject) => {
            const ended = () => reject(new Error("a simulation process ended"));
            child.once("exit", ended);
            child.once("message", counts => {
              child.off("exit", ended);
              resolve(counts as Counts);
            });
            tell(child, { kind: "counts", reset });
          }),
      );
      return (await Promise.all(all)).reduce(merge);
    },
    disconnect: () => {
      for (const child of children) tell(child, { kind: "disconnect" });
    },
    async stop() {
      await Promise.all(
        children.map(
          child =>
            new Promise<void>(resolve => {
              if (child.exitCode !== null || child.signalCode !== null) return resolve();
              child.once("exit", () => resolve());
              child.kill("SIGKILL");
            }),
        ),
      );
    },
  };
}

function tell(child: ChildProcess, told: Told): void {
  child.send(told);
}

function merge(a: Counts, b: Counts): Counts {
  const troubles = { ...a.troubles };
  for (const [trouble, count] of Object.entries(b.troubles))
    troubles[trouble] = (troubles[trouble] ?? 0) + count;
  return {
    started: a.started + b.started,
    polls: a.polls + b.polls,
    reports: a.reports + b.reports,
    delivered: a.delivered + b.delivered,
    deliveredAgain: a.deliveredAgain + b.deliveredAgain,
    acknowledged: a.acknowledged + b.acknowledged,
    reported: a.reported + b.reported,
    troubles,
    lastReportedMs: Math.max(a.lastReportedMs, b.lastReportedMs),
    deliveredAtMs: [...a.deliveredAtMs, ...b.deliveredAtMs],
  };
}
