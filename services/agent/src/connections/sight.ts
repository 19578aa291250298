/** What is seen and what becomes of it, put together: workloads, connections, certificates, and the data path. */
import type { Detection } from "@picket/shared/detection";
import type { Labels } from "@picket/shared/vocabulary";
import type { Kernel } from "../capture/kernel.ts";
import type { ConnectionEvent } from "../capture/kernel-event.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host/requirements.ts";
import type { Log } from "../log.ts";
import { createPipeline } from "../pipeline.ts";
import { Profiles } from "../profiles/profiles.ts";
import type { Judging } from "../rules/assemble.ts";
import { createComparison } from "../rules/comparison.ts";
import { Twins } from "../rules/twin.ts";
import { createUnknown } from "../rules/unknown.ts";
import { Certificates } from "../tls/certificates.ts";
import { Fold } from "../wire/fold.ts";
import { Statements } from "../wire/statements.ts";
import { Workloads } from "../workloads/workloads.ts";
import { Notices } from "./notices.ts";
import { Processes } from "./processes.ts";
import { ConnectionTable } from "./table.ts";

export type Sight = ReturnType<typeof createSight>;

export function createSight(input: {
  config: Config;
  host: Host;
  kernel: Kernel;
  judging: Judging;
  store: (detections: Detection[]) => void;
  judged: Parameters<typeof createUnknown>[0]["judged"];
  /** The node's. */
  labels: () => Labels;
  log: Log;
}) {
  const { config, host, kernel, judging, store, log } = input;
  if (kernel.tookOver) kernel.forgetWorkloads();
  const workloads = new Workloads({
    stateDirectory: config.stateDirectory,
    cgroup2Mount: host.cgroup2Mount,
    attachedCgroup: host.cgroup,
    maps: kernel.workloads,
  });
  const connections = new ConnectionTable();
  const processes = new Processes();
  const notices = new Notices();
  const certificates = new Certificates({
    stateDirectory: config.stateDirectory,
    emit: detection => store([detection]),
    // Only a host that speaks to databases needs the prober in memory.
    probe: async (endpoint, timeoutMs) => (await import("../tls/probe.ts")).probe(endpoint, { timeoutMs }),
  });

  function noticed(event: ConnectionEvent): Detection[] {
    const { dialect, encrypted, endpoints } = event;
    const nowMs = Date.now();
    if (dialect || encrypted)
      certificates.saw({ host: endpoints.remoteAddress, port: endpoints.remotePort, dialect }, nowMs);
    const name = workloads.get(event.workload)?.name;
    return notices.feed(event, { process: () => processes.describe(event.process, name), nowMs });
  }

  function sever(event: ConnectionEvent): void {
    const outcome = kernel.sever(event);
    log.info({ connection: event.cookie.toString(), outcome }, "a connection was severed");
  }

  const profiles = new Profiles(config.stateDirectory);
  const { versions, learned, lexing } = judging;
  const comparison = createComparison({
    lexing,
    exampleOf({ fingerprint, scope, version }) {
      const { sample } = learned.get(fingerprint ^ scope) ?? learned.get(fingerprint) ?? {};
      if (sample) return sample;
      const shapes = versions.byOrdinal(version)?.parts.flatMap(({ rules }) => rules.shapes);
      const named = shapes?.find(shape => shape.fingerprint === fingerprint);
      return named && { sql: Buffer.from(named.sql), dialect: named.dialect, session: null };
    },
    forget: fingerprint => versions.forgetShape(fingerprint),
    nowMs: Date.now,
  });
  const twins = new Twins({
    versions,
    learned,
    profiles,
    lexing,
    labelsOf: name => ({
      ...input.labels(),
      ...workloads.list().find(workload => workload.name === name)?.labels,
    }),
    nowMs: Date.now,
  });
  const pipeline = createPipeline({
    statements: new Statements(),
    connections,
    versions,
    unknown: createUnknown({ versions, learned, profiles, judged: input.judged, twins, nowMs: Date.now }),
    comparison,
    twins,
    lexing,
    workloads,
    processes,
    fold: new Fold(),
    labels: input.labels,
    noticed,
    sever,
    store,
  });
  return {
    workloads,
    connections,
    processes,
    certificates,
    profiles,
    comparison,
    twins,
    pipeline,
    /** Enrols what is open, and moves what is enrolled to the workload that was chosen for it since. */
    adopt: () => kernel.adopt(pid => workloads.ofProcess(pid)),
  };
}
