/**
 * Thousands of simulated nodes in one process, told what to do over IPC (simulation/spawn.ts). It answers with
 * counts, so that a hundred thousand nodes need no message each.
 */
import { readFileSync } from "node:fs";
import type { Address } from "./connection.ts";
import { type NodeKeyText, privateKey } from "./identity.ts";
import { type Behaviour, type Seen, SimulatedNode } from "./node.ts";
import { Pool } from "./pool.ts";

export interface Plan {
  /** JSON lines: `[id, d, x]`. */
  roster: string;
  first: number;
  count: number;
  gateways: Address[];
  api: Address[];
  /** The loopback address that the nodes come from. */
  from: string;
  behaviour: Partial<Behaviour>;
  /** How many begin to poll in a second. */
  perSecond: number;
  /** Shared connections to the API. */
  apiConnections: number;
}

export interface Counts {
  started: number;
  /** Polls sent. */
  polls: number;
  /** All reports that arrived. */
  reports: number;
  /** Assignments that arrived, each once. */
  delivered: number;
  /** … that came once more. */
  deliveredAgain: number;
  acknowledged: number;
  /** Those that said what was newly installed. */
  reported: number;
  /** By call and status, or `lost`. */
  troubles: Record<string, number>;
  lastReportedMs: number;
  /** When each was delivered first; empty where counting goes on. */
  deliveredAtMs: number[];
}

export type Told =
  | { kind: "plan"; plan: Plan }
  | { kind: "counts"; reset: boolean }
  | { kind: "disconnect" }
  | { kind: "stop" };

const zero = (): Counts => ({
  started: 0,
  polls: 0,
  reports: 0,
  delivered: 0,
  deliveredAgain: 0,
  acknowledged: 0,
  reported: 0,
  troubles: {},
  lastReportedMs: 0,
  deliveredAtMs: [],
});

const nodes: SimulatedNode[] = [];
const delivered = new Set<string>();
let counts = zero();
let started = 0;

function see(seen: Seen): void {
  switch (seen.kind) {
    case "waiting":
      counts.polls += 1;
      return;
    case "delivered":
      if (delivered.has(seen.assignment.id)) {
        counts.deliveredAgain += 1;
        return;
      }
      delivered.add(seen.assignment.id);
      counts.delivered += 1;
      counts.deliveredAtMs.push(Date.now());
      return;
    case "acknowledged":
      counts.acknowledged += 1;
      return;
    case "reported":
      counts.reports += 1;
      if (!seen.news) return;
      counts.reported += 1;
      counts.lastReportedMs = Date.now();
      return;
    case "refused":
    case "lost": {
      const call = seen.call.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "…");
      const trouble = `${call} ${seen.kind === "refused" ? seen.status : "lost"}`;
      counts.troubles[trouble] = (counts.troubles[trouble] ?? 0) + 1;
      return;
    }
    case "installed":
    case "answered":
      return;
  }
}

async function begin(plan: Plan): Promise<void> {
  const lines = readFileSync(plan.roster, "utf8").split("\n");
  const pool = new Pool(plan.api, plan.apiConnections);
  const beganMs = Date.now();
  for (let i = 0; i < plan.count; i++) {
    const [id, d, x] = JSON.parse(lines[plan.first + i]!) as [string, string, string];
    const key: NodeKeyText = { d, x };
    const node = new SimulatedNode({
      id,
      key: privateKey(key),
      ends: { gateway: plan.gateways[i % plan.gateways.length]!, api: pool, from: plan.from },
      behaviour: plan.behaviour,
      see,
    });
    nodes.push(node);
    node.start();
    started += 1;
    const aheadMs = (started / plan.perSecond) * 1_000 - (Date.now() - beganMs);
    if (aheadMs > 20) await new Promise(resolve => setTimeout(resolve, aheadMs));
    else if (i % 100 === 99) await new Promise(resolve => setImmediate(resolve));
  }
}

// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
process.on("message", (told: Told) => {
  switch (told.kind) {
    case "plan":
      void begin(told.plan);
      return;
    case "counts":
      process.send!({ ...counts, started, ...(!told.reset && { deliveredAtMs: [] }) }, () => {});
      if (told.reset) counts = zero();
      return;
    case "disconnect":
      for (const node of nodes) node.disconnect();
      return;
    case "stop":
      process.exit(0);
  }
});
