/** Decides how a workload is run: enforced, observed or left alone. Without a target it shows what is decided. */
import { Workload, type WorkloadSelector } from "@picket/shared/control-socket";
import type { WorkloadMode } from "@picket/shared/vocabulary";
import type { Command } from "commander";
import { z } from "zod";
import { collectLabel, leaf } from "../command.ts";
import type { Context } from "../context.ts";
import { usage } from "../errors.ts";
import { labelsText, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

export function guardCommand(program: Command, surroundings: Surroundings): void {
  leaf(program, surroundings, {
    name: "guard [target]",
    description: "enforce the rules for a systemd unit, a cgroup or a process (as root)",
    talks: "agent",
    build: command =>
      command
        .option("--observe", "only judge and report, block nothing")
        .option("--off", "leave its connections alone")
        .option("--fionread-unused", "its programs never ask how many bytes wait to be read (docs/adr/0008)")
        .option("--label <key=value>", "label of the workload; may be repeated", collectLabel)
        .addHelpText(
          "after",
          `
A target is
  1234                    a process and its descendants
  /system.slice/app       a cgroup below the cgroup2 mount
  shop.service            a systemd unit
Without a target the guarded workloads are listed.`,
        ),
    async run(
      context,
      options: { observe?: boolean; off?: boolean; fionreadUnused?: boolean; label?: Record<string, string> },
      target?: string,
    ) {
      if (options.observe && options.off) throw usage("--observe and --off exclude each other");
      if (target === undefined) return list(context);
      const mode: WorkloadMode = options.off ? "off" : options.observe ? "observe" : "enforce";
      const workload = await context.agent().request({
        method: "PUT",
        path: "/v1/workloads",
        body: {
          selector: selectorOf(target),
          mode,
          labels: options.label ?? {},
          fionread: options.fionreadUnused ? "unused" : "kept",
        },
        answer: Workload,
      });
      context.output.result(workload, () => {
        const { paint } = context.output;
        switch (workload.mode) {
          case "enforce":
            return `${paint("green", "enforcing")} ${workload.name}: what a rule blocks is stopped before it leaves this host.`;
          case "observe":
            return `${paint("yellow", "observing")} ${workload.name}: judged and reported, nothing is blocked.`;
          case "off":
            return `${paint("dim", "off")} ${workload.name}: its connections are left alone.`;
        }
      });
    },
  });
}

async function list({ agent, output }: Context): Promise<void> {
  const workloads = await agent().request({ path: "/v1/workloads", answer: workloadList });
  output.result(workloads, () =>
    workloads.length === 0
      ? "Nothing is guarded by name. Enforce a workload with `picket guard <unit|cgroup|pid>`."
      : table(output, workloads, [
          { title: "ID", value: row => String(row.id), align: "right" },
          {
            title: "MODE",
            value: row => row.mode,
            style: row => (row.mode === "enforce" ? "green" : row.mode === "observe" ? "yellow" : "dim"),
          },
          { title: "WORKLOAD", value: row => row.name, flexible: true },
          { title: "SELECTED BY", value: row => selectorText(row.selector) },
          { title: "LABELS", value: row => labelsText(row.labels) },
        ]),
  );
}

/** An agent may answer the bare list or a page of it. */
const workloadList = z.union([
  z.array(Workload),
  z.object({ items: z.array(Workload) }).transform(({ items }) => items),
]);

export function selectorOf(target: string): WorkloadSelector {
  if (/^\d+$/.test(target)) {
    const pid = Number(target);
    if (pid < 1 || pid > 4_194_304) throw usage(`"${target}" is no process id`);
    return { kind: "pid", pid };
  }
  if (target.startsWith("/")) return { kind: "cgroup", path: target };
  if (/^[A-Za-z0-9:_.@\\-]+$/.test(target))
    return { kind: "unit", unit: /\.(service|scope|slice)$/.test(target) ? target : `${target}.service` };
  throw usage(
    `"${target}" is no unit, cgroup or process`,
    "write shop.service, /system.slice/shop.service or 1234",
  );
}

function selectorText(selector: WorkloadSelector): string {
  switch (selector.kind) {
    case "unit":
      return `unit ${selector.unit}`;
    case "cgroup":
      return `cgroup ${selector.path}`;
    case "pid":
      return `process ${selector.pid}`;
  }
}
