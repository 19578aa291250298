/**
 * One agent: puts the parts together in the order in which they depend on each other, and takes them apart in the
 * reverse one. What each part does is its own file's business; the data path is pipeline.ts.
 */
import type { Server } from "node:http";
import { join } from "node:path";
import type { Detection } from "@picket/shared/detection";
import type { ObjectDigest } from "@picket/shared/ids";
import { Bench } from "./capture/bench.ts";
import { digestOf, KERNEL_ABI, Kernel } from "./capture/kernel.ts";
import type { KernelEvent } from "./capture/kernel-event.ts";
import { readObject } from "./capture/objects.ts";
import { checkSockets } from "./capture/socket-check.ts";
import type { Config } from "./config.ts";
import { Notices } from "./connections/notices.ts";
import { Processes } from "./connections/processes.ts";
import { ConnectionTable } from "./connections/table.ts";
import { openAudit } from "./control/audit.ts";
import type { Control } from "./control/control.ts";
import { diagnose, socketChecks } from "./control/doctor.ts";
import { Overrides } from "./control/overrides.ts";
import { RecentDetections } from "./control/recent.ts";
import { openControlSocket } from "./control/server.ts";
import { openMetrics } from "./health/metrics.ts";
import { createReporter } from "./health/report.ts";
import { cgroupId } from "./host/cgroups.ts";
import { claim } from "./host/claim.ts";
import { hostChecks, requireHost } from "./host/requirements.ts";
import type { Log } from "./log.ts";
import { createPipeline } from "./pipeline.ts";
import { createCompiler } from "./rules/compile.ts";
import { Installer } from "./rules/installer.ts";
import { LearnedShapes } from "./rules/learned.ts";
import { createLexing } from "./rules/lexing.ts";
import { drawSecrets, readSecrets } from "./rules/secrets.ts";
import { selfTest } from "./rules/self-test.ts";
import { RuleSources } from "./rules/sources.ts";
import { RuleStore } from "./rules/store.ts";
import { type Remembered, Versions } from "./rules/versions.ts";
import { Spool } from "./spool/spool.ts";
import { Certificates } from "./tls/certificates.ts";
import { readEnrolment } from "./uplink/identity.ts";
import { Fold } from "./wire/fold.ts";
import { Statements } from "./wire/statements.ts";
import { Workloads } from "./workloads/workloads.ts";

const TICK_MS = 1_000;
/** How often endpoints are looked through for one that is due. */
const CERTIFICATES_MS = 5_000;
const EARLY_EVENTS_MAX = 10_000;
const CERTIFICATE_NOTICE_MS = 30 * 86_400_000;

export type Agent = { stop(): Promise<void> };

export async function startAgent(config: Config, log: Log): Promise<Agent> {
  const nowMs = Date.now;
  const host = requireHost(config);
  const claimed = claim({
    instance: config.instance,
    cgroup: host.cgroup,
    pins: host.pins,
    cgroupExists: cgroup => cgroupId(join(host.cgroup2Mount, cgroup)) !== null,
  });
  const dispatcher = readObject("dispatcher");
  const dispatcherDigest = digestOf(dispatcher);

  const sockets = await checkSockets(dispatcher);
  log.info(sockets, "socket check");
  const earlier = claimed.earlier?.running ?? null;
  const takeOver = earlier !== null && earlier.abi === KERNEL_ABI;
  const secrets = takeOver ? readSecrets(earlier) : drawSecrets();
  const kernel = await Kernel.open({
    dispatcher,
    pins: host.pins,
    cgroupPath: host.cgroupPath,
    takeOver,
    sameDispatcher: earlier?.dispatcher === dispatcherDigest,
    streamVerdict: sockets.fionread === "repaired",
    enrolSockets: sockets.fionread !== "wrong" && sockets.wakes,
  });
  const undo: (() => unknown)[] = [() => kernel.close({ keep: false }), () => claimed.release()];
  try {
    return await run();
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }

  async function run(): Promise<Agent> {
    if (kernel.tookOver) log.info("took over the programs of an earlier agent");
    const remember = (running: Remembered) =>
      claimed.write({
        abi: KERNEL_ABI,
        dispatcher: dispatcherDigest,
        hashKey: secrets.key.toString(16),
        hashStart: secrets.start.toString(16),
        ...running,
      });

    // What is judged, and by what.
    const lexing = createLexing(secrets);
    const learned = new LearnedShapes();
    const bench = new Bench({ dispatcher: () => readObject("dispatcher"), kernel });
    const recent = new RecentDetections();
    const spool = new Spool({
      directory: join(config.stateDirectory, "spool"),
      bytesMax: config.spoolBytesMax,
    });
    const store = (detections: Detection[]) => {
      spool.append(detections.map(detection => Buffer.from(JSON.stringify(detection))));
      for (const detection of detections) recent.push(detection);
      sources.uploadSoon();
    };
    const overrides: Overrides = new Overrides({
      stateDirectory: config.stateDirectory,
      lexing,
      set: override => versions.setOverride(override),
      clear: fingerprint => versions.clearOverride(fingerprint),
      tell: detection => store([detection]),
      nowMs: nowMs(),
    });
    const versions: Versions = new Versions({
      kernel,
      learned,
      secrets: { hashKey: secrets.key, hashStart: secrets.start },
      predecessor: earlier,
      overrides: () => overrides.all(),
      selfTest: selfTest(
        bench,
        lexing,
        () => new Set([...overrides.all()].map(({ fingerprint }) => fingerprint)),
      ),
      remember,
    });
    const installer = new Installer({
      versions,
      store: new RuleStore(config.stateDirectory),
      shipped: { digest: digestOf(readObject("slot")) as ObjectDigest, read: () => readObject("slot") },
      compile: createCompiler(secrets),
      abi: KERNEL_ABI,
      kernel: config.kernel,
      nowMs,
      log,
      changed: () => sources.reportSoon(),
    });

    // What is seen.
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
      probe: async (endpoint, timeoutMs) => (await import("./tls/probe.ts")).probe(endpoint, { timeoutMs }),
    });
    const statements = new Statements();
    const pipeline = createPipeline({
      statements,
      connections,
      versions,
      learned,
      lexing,
      workloads,
      processes,
      fold: new Fold(),
      noticed(event) {
        const { dialect, encrypted, endpoints } = event;
        if (dialect || encrypted)
          certificates.saw({ host: endpoints.remoteAddress, port: endpoints.remotePort, dialect }, nowMs());
        const name = workloads.get(event.workload)?.name;
        return notices.feed(event, {
          process: () => processes.describe(event.process, name),
          nowMs: nowMs(),
        });
      },
      sever(event) {
        const outcome = kernel.sever(event);
        log.info({ connection: event.cookie.toString(), outcome }, "a connection was severed");
      },
      store,
    });
    // What a predecessor's programs told while nobody read can be named only once its rules are back.
    let early: KernelEvent[] | null = [];
    const decoder = kernel.read(
      event => {
        if (bench.feed(event)) return;
        if (early && early.length < EARLY_EVENTS_MAX) early.push(copyOf(event));
        else pipeline.handle(event);
      },
      () => pipeline.flush(),
      error => log.error({ error: String(error) }, "an event could not be handled"),
    );

    const reporter = createReporter({
      config,
      kernel,
      decoder,
      versions,
      installer,
      connections,
      workloads,
      processes,
      learned,
      overrides,
      spool,
      labels: () => sources.labels,
      missing: [...hostChecks(config.kernel), ...socketChecks(sockets)]
        .filter(({ state }) => state !== "ok")
        .map(({ name, detail }) => `${name}: ${detail}`.slice(0, 300)),
      attachedCgroup: host.cgroup,
    });
    const sources: RuleSources = new RuleSources({
      config,
      installer,
      spool,
      log,
      makeReport: () => reporter.report(),
      enrolment: readEnrolment(config.stateDirectory),
    });

    // Rules first, then eyes: the first statement that is seen is judged.
    await sources.start();
    const waited = early;
    early = null;
    for (const event of waited) pipeline.handle(event);
    kernel.attach();
    // Also moves connections that are open to the workload that was chosen for them since.
    const adopt = () => kernel.adopt(pid => workloads.ofProcess(pid));
    adopt();

    // One timer: each wake-up of an idle agent costs the host.
    let ticks = 0;
    const certificateTicks = Math.ceil(Math.min(CERTIFICATES_MS, config.certificateIntervalMs) / TICK_MS);
    const timer = setInterval(() => {
      ticks += 1;
      pipeline.flush();
      if (overrides.expire(nowMs())) sources.reportSoon();
      versions.retire(nowMs());
      if (workloads.moving && workloads.refresh()) adopt();
      spool.flush().catch(error => log.error({ error: String(error) }, "the spool could not be flushed"));
      if (ticks % certificateTicks === 0) lookAtCertificates();
    }, TICK_MS);
    const lookAtCertificates = () => {
      const noticeMs = versions.stable?.parts[0]?.rules.certificateNoticeMs ?? CERTIFICATE_NOTICE_MS;
      certificates
        .round({ nowMs, noticeMs, intervalMs: config.certificateIntervalMs, signal: stopping.signal })
        .catch(error => log.error({ error: String(error) }, "certificates could not be probed"));
    };
    const stopping = new AbortController();

    const control: Control = {
      status: async () => ({
        ...sources.status(),
        workloads: workloads.list(),
        report: await reporter.report(),
      }),
      doctor: async () =>
        diagnose({ kernel: config.kernel, sockets, states: await reporter.allConnections() }),
      join: request => sources.join(request),
      leave: () => sources.leave(),
      workloads: {
        list: () => workloads.list(),
        put(request) {
          const workload = workloads.put(request);
          adopt();
          sources.reportSoon();
          return workload;
        },
        delete(id) {
          workloads.delete(id);
          adopt();
          sources.reportSoon();
        },
      },
      verdicts: {
        list: () => overrides.list(),
        async put(request) {
          const verdict = overrides.put(request, nowMs());
          sources.reportSoon();
          return verdict;
        },
        async delete(id) {
          overrides.delete(id);
          sources.reportSoon();
        },
      },
      recent,
    };
    const servers: Server[] = [];
    if (config.metrics)
      servers.push(
        await openMetrics({
          listen: config.metrics,
          health: () => ({
            ok: versions.stable !== null,
            reasons: versions.stable ? [] : ["no rules are loaded"],
          }),
          report: () => reporter.quick(),
        }),
      );
    servers.push(
      await openControlSocket({
        path: config.socketPath,
        load: async () =>
          (await import("./control/routes.ts")).controlRoutes(control, openAudit(config.stateDirectory)),
      }),
    );
    log.info(
      { cgroup: host.cgroup, instance: config.instance, connections: connections.size },
      "the agent is ready",
    );

    let stopped: Promise<void> | undefined;
    return {
      stop: () => {
        stopped ??= stop();
        return stopped;
      },
    };

    async function stop(): Promise<void> {
      stopping.abort();
      clearInterval(timer);
      const keep = config.keepEnforcing;
      // First of all the traffic: statements pass from here on.
      if (!keep) kernel.emptySlots();
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
      await sources.stop();
      versions.close();
      const { socketsLeft } = await kernel.close({ keep });
      pipeline.flush(true);
      spool.close();
      if (keep) log.info("stopped; the programs keep enforcing until the next start");
      else if (socketsLeft > 0)
        log.warn(
          { socketsLeft, pins: host.pins },
          "stopped; statements pass, but the socket map stays until these connections close: freeing it now would lose what they have not read. The next start of this agent takes it over",
        );
      else claimed.release();
    }
  }
}

/** Its text is valid only while its batch is handled. */
function copyOf(event: KernelEvent): KernelEvent {
  return event.kind === "statement" ? { ...event, text: Buffer.from(event.text) } : event;
}
