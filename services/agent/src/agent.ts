/**
 * One agent: puts the parts together in the order in which they depend on each other, and takes them apart in the
 * reverse one. What each part does is its own file's business; the data path is pipeline.ts.
 */
import { randomUUID } from "node:crypto";
import type { Server } from "node:http";
import { join } from "node:path";
import type { Detection } from "@picket/shared/detection";
import { digestOf, KERNEL_ABI, Kernel } from "./capture/kernel.ts";
import type { KernelEvent } from "./capture/kernel-event.ts";
import { readObject } from "./capture/objects.ts";
import { checkSockets } from "./capture/socket-check.ts";
import type { Config } from "./config.ts";
import { createSight, type Sight } from "./connections/sight.ts";
import { openAudit } from "./control/audit.ts";
import { socketChecks } from "./control/doctor.ts";
import { provideControl } from "./control/provide.ts";
import { RecentDetections } from "./control/recent.ts";
import { openControlSocket } from "./control/server.ts";
import { openMetrics } from "./health/metrics.ts";
import { createReporter } from "./health/report.ts";
import { Holding } from "./hold/holding.ts";
import { createHoldingRules } from "./hold/rules.ts";
import { cgroupId } from "./host/cgroups.ts";
import { claim } from "./host/claim.ts";
import { type Host, hostChecks, requireHost } from "./host/requirements.ts";
import { createImmunity } from "./immunity/immunity.ts";
import { SharedVerdicts } from "./immunity/shared-verdicts.ts";
import type { Log } from "./log.ts";
import { SignedProfiles } from "./profiles/signed.ts";
import { createJudging } from "./rules/assemble.ts";
import { drawSecrets, readSecrets } from "./rules/secrets.ts";
import { shapeSource } from "./rules/shape-source.ts";
import { RuleSources } from "./rules/sources.ts";
import { Spool } from "./spool/spool.ts";
import { readEnrolment } from "./uplink/identity.ts";
import { ShapeLedger } from "./uplink/shapes.ts";

const TICK_MS = 1_000;
/** How often endpoints are looked through for one that is due. */
const CERTIFICATES_MS = 5_000;
/** How often what was learned goes to disk. */
const PROFILES_TICKS = 60;
const CERTIFICATE_NOTICE_MS = 30 * 86_400_000;
const EARLY_EVENTS_MAX = 10_000;

export type Agent = { stop(): Promise<void> };

export async function startAgent(config: Config, log: Log): Promise<Agent> {
  const host = requireHost(config);
  const claimed = claim({
    instance: config.instance,
    cgroup: host.cgroup,
    pins: host.pins,
    cgroupExists: cgroup => cgroupId(join(host.cgroup2Mount, cgroup)) !== null,
  });
  try {
    return await startClaimed({ config, log, host, claimed });
  } catch (error) {
    // A predecessor's claim stays with what it left running.
    if (!claimed.earlier) claimed.release();
    throw error;
  }
}

async function startClaimed(input: {
  config: Config;
  log: Log;
  host: Host;
  claimed: ReturnType<typeof claim>;
}): Promise<Agent> {
  const { config, log, host, claimed } = input;
  const dispatcher = readObject("dispatcher");
  const digest = digestOf(dispatcher);
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
    sameDispatcher: earlier?.dispatcher === digest,
    streamVerdict: sockets.fionread === "repaired",
    plainSockets: sockets.plain,
    enrolSockets: sockets.fionread !== "wrong" && sockets.wakes,
  });
  try {
    return await assemble();
  } catch (error) {
    // As it was found: what a predecessor left running goes on, what this start has made goes.
    await kernel.close({ keep: kernel.tookOver });
    throw error;
  }

  async function assemble(): Promise<Agent> {
    if (kernel.discarded !== null)
      log.warn(
        { why: kernel.discarded },
        "an earlier agent's programs cannot be taken over: they were taken away, and statements passed meanwhile",
      );
    if (kernel.tookOver) log.info("took over the programs of an earlier agent");
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
    const holding = new Holding({
      pins: host.pins,
      path: `${config.socketPath}.keeper`,
      decoder: () => decoder,
      exempt: (pid, replaced) => workloads.exempt(pid, replaced),
      handle: held => pipeline.held(held),
      bytesMax: config.holdBytesMax,
      log,
    });
    const holdingRules = createHoldingRules({
      holding,
      workloads: () => workloads,
      labels: () => sources.labels,
      moved: () => adopt(),
    });
    const judging = createJudging({
      config,
      kernel,
      secrets,
      predecessor: earlier,
      remember: running =>
        claimed.write({
          abi: KERNEL_ABI,
          dispatcher: digest,
          hashKey: secrets.key.toString(16),
          hashStart: secrets.start.toString(16),
          ...running,
        }),
      holding: holdingRules,
      twins: () => sight.twins,
      store,
      changed: () => sources.reportSoon(),
      log,
    });
    const sight: Sight = createSight({
      config,
      host,
      kernel,
      judging,
      store,
      judged: (...judged) => immunity?.judged(...judged),
      labels: () => sources.labels,
      log,
    });
    const { versions, overrides, installer, bench, lexing } = judging;
    const { pipeline, workloads, certificates, profiles, adopt } = sight;
    const immunity = config.immunity
      ? createImmunity({
          lexing,
          shared: new SharedVerdicts({
            stateDirectory: config.stateDirectory,
            versions,
            lexing,
            learned: shape => profiles.know(shape),
            nowMs: Date.now,
          }),
          changed: () => sources.claimSoon(),
          nowMs: Date.now,
        })
      : null;

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
      judging,
      sight,
      spool,
      holding,
      immunity,
      labels: () => sources.labels,
      missing: [...hostChecks(config.kernel), ...socketChecks(sockets, kernel.enrolled())]
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
      shapes: new ShapeLedger(shapeSource(judging), randomUUID()),
      immunity,
      twins: sight.twins,
      profiles: new SignedProfiles({
        versions,
        profiles,
        workloads: () => workloads.list().map(({ name }) => name),
        changed: () => {
          versions.forgetJudged();
          immunity?.shared.reconsider();
          sources.reportSoon();
        },
        nowMs: Date.now,
      }),
      enrolment: readEnrolment(config.stateDirectory),
    });

    // The keeper first, then rules, then eyes: the first statement that is seen is judged.
    if (kernel.attachKeeper()) await holding.start();
    await sources.start();
    await immunity?.shared.refresh();
    const waited = early;
    early = null;
    for (const event of waited) pipeline.handle(event);
    kernel.attach();
    adopt();

    const stopping = new AbortController();
    const lookAtCertificates = () => {
      const noticeMs = versions.stable?.parts[0]?.rules.certificateNoticeMs ?? CERTIFICATE_NOTICE_MS;
      certificates
        .round({
          nowMs: Date.now,
          noticeMs,
          intervalMs: config.certificateIntervalMs,
          signal: stopping.signal,
        })
        .catch(error => log.error({ error: String(error) }, "certificates could not be probed"));
    };
    // One timer: each wake-up of an idle agent costs the host.
    let ticks = 0;
    const certificateTicks = Math.ceil(Math.min(CERTIFICATES_MS, config.certificateIntervalMs) / TICK_MS);
    const timer = setInterval(() => {
      const nowMs = Date.now();
      ticks += 1;
      pipeline.flush();
      if (overrides.expire(nowMs)) sources.reportSoon();
      versions.retire(nowMs);
      immunity?.shared
        .refresh()
        .catch(error => log.error({ error: String(error) }, "shared verdicts could not be judged"));
      if (workloads.moving && workloads.refresh()) adopt();
      holdingRules.refresh();
      holding.tick();
      if (ticks % PROFILES_TICKS === 0) profiles.save();
      spool.flush().catch(error => log.error({ error: String(error) }, "the spool could not be flushed"));
      if (ticks % certificateTicks === 0) lookAtCertificates();
    }, TICK_MS);

    const servers: Server[] = [];
    if (config.metrics)
      servers.push(
        await openMetrics({
          listen: config.metrics,
          health: () =>
            versions.stable ? { ok: true, reasons: [] } : { ok: false, reasons: ["no rules are loaded"] },
          report: () => reporter.quick(),
        }),
      );
    const control = provideControl({
      config,
      holding,
      kernel,
      sockets,
      judging,
      sight,
      sources,
      reporter,
      recent,
      immunity,
    });
    servers.push(
      await openControlSocket({
        path: config.socketPath,
        load: async () =>
          (await import("./control/routes.ts")).controlRoutes(control, openAudit(config.stateDirectory)),
      }),
    );
    const { instance } = config;
    log.info({ cgroup: host.cgroup, instance, connections: sight.connections.size }, "the agent is ready");

    let stopped: Promise<void> | undefined;
    return {
      stop() {
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
      await holding.stop({ keep });
      await judging.escalation.close();
      versions.close();
      const { socketsLeft } = await kernel.close({ keep });
      pipeline.flush(true);
      profiles.save();
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
