/**
 * What the agent itself takes: resident memory, CPU when nothing happens, and CPU at 20,000 known statements a
 * second, which never reach it. Beside that the time that its programs take in the kernel, on the application's
 * account, from the kernel's run statistics.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { guarded, load, row } from "./guarded.ts";

const STATS = "/proc/sys/kernel/bpf_stats_enabled";
const TICKS_PER_SECOND = 100;

/** User and system seconds of a process (proc(5), /proc/pid/stat fields 14 and 15). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function residentMb(pid: number): number {
  const kb = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  return kb / 1024;
}

function kernelSeconds(): number {
  const programs = JSON.parse(execFileSync("bpftool", ["prog", "show", "-j"]).toString()) as {
    type: string;
    run_time_ns?: number;
  }[];
  return programs.reduce((sum, one) => sum + (one.type === "sk_msg" ? (one.run_time_ns ?? 0) : 0), 0) / 1e9;
}

export async function run({ json = false, seconds = 30 } = {}) {
  const before = readFileSync(STATS, "utf8");
  const perSecond = 20_000;
  try {
    const result = await guarded({ enforce: true }, async (agent, cgroup) => {
      const pid = agent.process.pid!;
      await load(cgroup, { perSecond: 200, seconds: 2, connections: 4, bytes: 100 });
      await new Promise(resolve => setTimeout(resolve, 10_000)); // Start-up work settles.
      const idleFrom = cpuSeconds(pid);
      await new Promise(resolve => setTimeout(resolve, seconds * 1_000));
      const idle = (cpuSeconds(pid) - idleFrom) / seconds;
      const resident = residentMb(pid);
      writeFileSync(STATS, "1");
      const [busyFrom, kernelFrom] = [cpuSeconds(pid), kernelSeconds()];
      const sent = await load(cgroup, { perSecond, seconds, connections: 8, bytes: 100 });
      const busy = (cpuSeconds(pid) - busyFrom) / sent.seconds;
      const kernel = (kernelSeconds() - kernelFrom) / sent.seconds;
      return {
        residentMb: resident,
        residentUnderLoadMb: residentMb(pid),
        idlePercent: idle * 100,
        statementsPerSecond: Math.round(sent.sent / sent.seconds),
        busyPercent: busy * 100,
        kernelPercent: kernel * 100,
      };
    });
    if (!json) {
      row("agent, resident", `${result.residentMb.toFixed(1)} MB`, "≤ 70 MB", result.residentMb <= 70);
      row("agent, idle CPU", `${result.idlePercent.toFixed(2)} %`, "≤ 0.3 %", result.idlePercent <= 0.3);
      row(
        `agent, CPU at ${result.statementsPerSecond} known statements/s`,
        `${result.busyPercent.toFixed(2)} %`,
        "≤ 1 %",
        result.busyPercent <= 1,
      );
      row("  its programs in the kernel meanwhile", `${result.kernelPercent.toFixed(2)} % of a core`);
      row("  resident under that load", `${result.residentUnderLoadMb.toFixed(1)} MB`);
    }
    return result;
  } finally {
    writeFileSync(STATS, before);
  }
}
