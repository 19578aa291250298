/**
 * What a twin costs the agent: its CPU at 5,000 known statements a second with a twin and without one, phase by phase in
 * one run, with 5,000 shapes in the kernel's map, which is walked at each look.
 */
import { readFileSync } from "node:fs";
import { startControlPlane } from "../../services/agent/test/control-plane.ts";
import { eventually, forget, startAgent } from "../harness/agent.ts";
import { makeCgroup } from "../harness/index.ts";
import { load, row } from "./guarded.ts";

const TICKS_PER_SECOND = 100;
const SHAPES = 5_000;
const PAIRS = 3;

const rules = (also: string) =>
  [
    "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: shop }\nspec:\n  shapes:",
    ...Array.from(
      { length: SHAPES },
      (_, i) => `    - { id: s${i}, action: allow, sql: "SELECT a FROM t${i}" }`,
    ),
    also,
  ].join("\n");

/** User and system seconds of a process (proc(5), /proc/pid/stat fields 14 and 15). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export async function run({ json = false, seconds = 20, perSecond = 5_000 } = {}) {
  const controlPlane = await startControlPlane();
  const cgroup = makeCgroup(`picket-test-twin-bench-${process.pid}`);
  const agent = await startAgent({
    cgroup: cgroup.path,
    env: { PICKET_URL: controlPlane.url, PICKET_JOIN_TOKEN: "join" },
  });
  try {
    await agent.guard(cgroup.path);
    const pid = agent.process.pid!;
    const stable = controlPlane.bundle({ version: 1, ruleText: rules("") });
    const candidate = controlPlane.bundle({
      version: 2,
      ruleText: rules('    - { id: no, action: block, sql: "DROP TABLE t" }'),
    });
    const installed = (version: number) =>
      eventually(
        async () => {
          const { report } = await agent.status();
          return report.installed.some(
            each => each.kind === "active" && each.version === version && each.ruleSet === "shop",
          );
        },
        `version ${version} runs`,
        60_000,
      );
    const beside = controlPlane.assign(stable);
    await installed(1);
    await load(cgroup, { perSecond: 200, seconds: 2, connections: 4, bytes: 100 });
    const phase = async () => {
      await new Promise(resolve => setTimeout(resolve, 3_000));
      const from = cpuSeconds(pid);
      const { sent, seconds: took } = await load(cgroup, { perSecond, seconds, connections: 8, bytes: 100 });
      return { percent: ((cpuSeconds(pid) - from) / took) * 100, perSecond: sent / took };
    };
    const phases: { off: Awaited<ReturnType<typeof phase>>; on: Awaited<ReturnType<typeof phase>> }[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const off = await phase();
      controlPlane.assign(candidate, { twin: { version: beside.version, bundle: beside.bundle } });
      await installed(2);
      const on = await phase();
      phases.push({ off, on });
      controlPlane.assign(stable);
      await installed(1);
    }
    const told = controlPlane.twinReports.at(-1);
    if (!json)
      for (const { off, on } of phases)
        row(
          `agent, CPU at ${Math.round(off.perSecond)} and ${Math.round(on.perSecond)} known statements/s`,
          `${off.percent.toFixed(2)} % without, ${on.percent.toFixed(2)} % with a twin`,
        );
    if (!json) row("  compared by the last one", `${told?.compared ?? 0} of ${told?.statements ?? 0}`);
    return { phases, compared: told?.compared, statements: told?.statements };
  } finally {
    await agent.stop();
    forget(agent);
    await cgroup.remove();
    await controlPlane.stop();
  }
}
