/** The control socket's wishes, carried out: a change takes effect in the kernel before it is answered, and is reported up. */
import type { Kernel } from "../capture/kernel.ts";
import type { SocketCheck } from "../capture/socket-check.ts";
import type { Config } from "../config.ts";
import type { Sight } from "../connections/sight.ts";
import type { Reporter } from "../health/report.ts";
import type { Holding } from "../hold/holding.ts";
import type { Immunity } from "../immunity/immunity.ts";
import { Refused } from "../refusal.ts";
import type { Judging } from "../rules/assemble.ts";
import type { RuleSources } from "../rules/sources.ts";
import type { Control } from "./control.ts";
import { diagnose } from "./doctor.ts";
import type { RecentDetections } from "./recent.ts";

export function provideControl(input: {
  config: Config;
  kernel: Kernel;
  sockets: SocketCheck;
  holding: Holding;
  judging: Judging;
  sight: Sight;
  sources: RuleSources;
  reporter: Reporter;
  recent: RecentDetections;
  immunity: Immunity | null;
}): Control {
  const { config, holding, kernel, sockets, sources, reporter, recent, immunity } = input;
  const { workloads, profiles, adopt } = input.sight;
  const { overrides, versions } = input.judging;
  const learnedAnew = () => {
    versions.forgetJudged();
    immunity?.shared.reconsider();
  };
  return {
    status: async () => ({
      ...sources.status(),
      workloads: workloads.list(),
      report: await reporter.report(),
    }),
    doctor: async () =>
      diagnose({
        kernel: config.kernel,
        sockets,
        enrolled: kernel.enrolled(),
        held: holding.counts(),
        states: await reporter.allConnections(),
      }),
    join: request => sources.join(request),
    leave: () => sources.leave(),
    rotateKey: () => sources.rotateKey(),
    workloads: {
      list: () => workloads.list(),
      put(request) {
        const workload = workloads.put(request);
        adopt();
        sources.reportSoon();
        return workload;
      },
      delete(id) {
        const name = workloads.get(id)?.name;
        workloads.delete(id);
        if (name !== undefined) versions.forgetWorkload(name);
        adopt();
        sources.reportSoon();
      },
    },
    verdicts: {
      list: () => overrides.list(),
      async put(request) {
        const verdict = overrides.put(request, Date.now());
        sources.reportSoon();
        return verdict;
      },
      async delete(id) {
        overrides.delete(id);
        sources.reportSoon();
      },
    },
    profiles: {
      list: () => profiles.list(),
      export(identity) {
        const exported = profiles.export(identity);
        if (!exported) throw new Refused("not-found", "there is no such profile");
        return exported;
      },
      put(exported) {
        const wrong = profiles.put(exported, Date.now());
        if (wrong !== null) throw new Refused("invalid", wrong);
        learnedAnew();
      },
      delete(identity, shape) {
        const done = shape === null ? profiles.forget(identity) : profiles.revoke(identity, shape);
        if (!done) throw new Refused("not-found", "there is no such profile, or no such shape in it");
        learnedAnew();
      },
    },
    recent,
  };
}
