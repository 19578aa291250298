/** Prometheus figures of one process. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export function createMetrics({ processMetrics = false }: { processMetrics?: boolean } = {}) {
  const registry = new Registry();
  const registers = [registry];
  if (processMetrics) collectDefaultMetrics({ register: registry });
  return {
    registry,
    requests: new Histogram({
      name: "picket_http_request_seconds",
      help: "Time to answer, by route and status; long polls and streams are left out",
      labelNames: ["route", "status"] as const,
      buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    }),
    detections: new Counter({
      name: "picket_detections_total",
      help: "Detections by what became of them: committed or duplicate",
      labelNames: ["outcome"] as const,
      registers,
    }),
    nudgesLost: new Counter({
      name: "picket_nudges_lost_total",
      help: "Jobs that could not be queued; the sweep does their work",
      labelNames: ["kind"] as const,
      registers,
    }),
    jobs: new Counter({
      name: "picket_jobs_total",
      help: "Jobs by kind and outcome: done or failed",
      labelNames: ["kind", "outcome"] as const,
      registers,
    }),
    sweeps: new Counter({
      name: "picket_sweeps_total",
      help: "Sweeps by part and outcome: done or failed",
      labelNames: ["part", "outcome"] as const,
      registers,
    }),
    deliveries: new Counter({
      name: "picket_delivery_attempts_total",
      help: "Webhook attempts by outcome",
      labelNames: ["outcome"] as const,
      registers,
    }),
    nodeRefusals: new Counter({
      name: "picket_node_refusals_total",
      help: "Calls of nodes whose signature held, refused: rate or replay",
      labelNames: ["because"] as const,
      registers,
    }),
    replaysUnchecked: new Counter({
      name: "picket_replays_unchecked_total",
      help: "Node tokens that only this process remembers, since Redis was away",
      registers,
    }),
    claims: new Counter({
      name: "picket_verdict_claims_total",
      help: "Shapes that nodes claim to be hostile: taken or refused (another shape's text, or too many)",
      labelNames: ["outcome"] as const,
      registers,
    }),
    sharedVerdicts: new Counter({
      name: "picket_shared_verdicts_total",
      help: "Claims that were judged again: issued or refused",
      labelNames: ["outcome"] as const,
      registers,
    }),
    waiters: new Gauge({ name: "picket_gateway_waiters", help: "Long polls that wait now", registers }),
    leases: new Counter({
      name: "picket_gateway_leases_total",
      help: "Assignments by what happened: leased or acknowledged",
      labelNames: ["outcome"] as const,
      registers,
    }),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
