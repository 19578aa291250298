/** The report as Prometheus metrics: the same figures that go to the control plane, so that both always agree. */
import type { Report } from "@picket/shared/contract";
import { Gauge, Registry } from "prom-client";

export function createRenderer(): (report: Report) => Promise<string> {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `picket_${name}`, help, labelNames, registers: [registry] });

  const events = gauge(
    "events_total",
    "Kernel events: emitted = received + lost; spooled and uploaded detections.",
    ["stage"],
  );
  const losses = gauge("losses_total", "What the kernel could not see or tell, by cause.", ["cause"]);
  const statements = gauge("statements_total", "Statements by rule version and what became of them.", [
    "rule_set",
    "version",
    "outcome",
  ]);
  const responses = gauge("responses_total", "Answers of databases by rule version: ok or error.", [
    "rule_set",
    "version",
    "outcome",
  ]);
  const latency = gauge(
    "response_seconds_bucket",
    "Time to an answer's first byte by rule version, of a sample: cumulative, le in seconds.",
    ["rule_set", "version", "le"],
  );
  const connections = gauge("connections", "Open database connections by guarantee.", ["guarantee"]);
  const shapes = gauge("shapes_learned", "Statement shapes that the kernel knows.");
  const held = gauge("held_total", "Statements that waited for their judgement, by what became of them.", [
    "outcome",
  ]);
  const shared = gauge(
    "shared_verdicts",
    "Of the fleet's shared verdicts: believed now; refused since the start, by reason.",
    ["outcome", "because"],
  );
  const compared = gauge("compared_total", "Known statements that were read again, by what was found.", [
    "outcome",
  ]);
  const installed = gauge("rule_version_installed", "1 for each rule version that judges.", [
    "rule_set",
    "version",
    "kind",
  ]);

  const resident = gauge("agent_resident_bytes", "Resident memory of the agent.");
  const cpu = gauge("agent_cpu_seconds_total", "CPU time of the agent, user and system.");

  return async report => {
    resident.set(report.agent.residentBytes);
    cpu.set(report.agent.cpuSeconds);
    for (const stage of ["emitted", "received", "lost", "spooled", "uploaded"] as const)
      events.set({ stage }, report.events[stage]);
    for (const [cause, count] of Object.entries(report.losses)) losses.set({ cause }, count);
    statements.reset();
    responses.reset();
    latency.reset();
    for (const { ruleSet, version, responses: answered, ...counts } of report.counters) {
      const labels = { rule_set: ruleSet, version: String(version) };
      for (const [outcome, count] of Object.entries(counts)) statements.set({ ...labels, outcome }, count);
      if (!answered) continue;
      responses.set({ ...labels, outcome: "ok" }, answered.ok);
      responses.set({ ...labels, outcome: "error" }, answered.errors);
      let below = 0;
      answered.latencyLog2Us.forEach((count, bucket, all) => {
        below += count;
        const le = bucket === all.length - 1 ? "+Inf" : String(2 ** (bucket + 1) / 1e6);
        latency.set({ ...labels, le }, below);
      });
    }
    connections.reset();
    for (const [guarantee, count] of Object.entries(report.guarantees))
      connections.set({ guarantee }, count ?? 0);
    shapes.set(report.shapesLearned);
    held.reset();
    for (const [outcome, count] of Object.entries(report.held ?? {})) held.set({ outcome }, count);
    shared.reset();
    if (report.immunity) {
      shared.set({ outcome: "believed", because: "" }, report.immunity.believed);
      for (const [because, count] of Object.entries(report.immunity.refused))
        shared.set({ outcome: "refused", because }, count);
    }
    for (const [outcome, count] of Object.entries(report.compared ?? {})) compared.set({ outcome }, count);
    installed.reset();
    for (const each of report.installed)
      if (each.version !== null)
        installed.set({ rule_set: each.ruleSet, version: String(each.version), kind: each.kind }, 1);
    return registry.metrics();
  };
}
