/**
 * What one statement costs in the kernel: the whole sk_msg program (dispatcher, framing, lexer, verdict map) on
 * known shapes, from the kernel's own run statistics, and beside it what a send() takes with and without Picket.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { guarded, load, row } from "./guarded.ts";

const STATS = "/proc/sys/kernel/bpf_stats_enabled";
const STATEMENTS = [
  { bytes: 100, dense: false, targetNs: 700 },
  { bytes: 1_000, dense: false, targetNs: 4_000 },
  { bytes: 1_000, dense: true, targetNs: 4_000 },
];

type Program = { name?: string; type: string; run_time_ns?: number; run_cnt?: number };

/** Of the sk_msg program that the kernel calls; a tail call's time counts there. */
function runs(): { ns: number; count: number } {
  const programs = JSON.parse(execFileSync("bpftool", ["prog", "show", "-j"]).toString()) as Program[];
  const called = programs.filter(program => program.type === "sk_msg" && (program.run_cnt ?? 0) > 0);
  return {
    ns: called.reduce((sum, program) => sum + (program.run_time_ns ?? 0), 0),
    count: called.reduce((sum, program) => sum + (program.run_cnt ?? 0), 0),
  };
}

export async function run({ json = false, seconds = 5 } = {}) {
  const before = readFileSync(STATS, "utf8");
  const sizes = [];
  try {
    for (const { bytes, dense, targetNs } of STATEMENTS)
      sizes.push(
        await guarded({ enforce: true }, async (agent, cgroup) => {
          const shape = { perSecond: 0, connections: 1, bytes, dense };
          await load(cgroup, { ...shape, perSecond: 200, seconds: 1 }); // The shapes become known.
          writeFileSync(STATS, "1");
          const start = runs();
          const measured = await load(cgroup, { ...shape, seconds });
          const end = runs();
          writeFileSync(STATS, "0");
          const on = await load(cgroup, { ...shape, seconds });
          const off = await load(null, { ...shape, seconds });
          const [counters] = (await agent.status()).report.counters;
          return {
            bytes,
            dense,
            targetNs,
            statements: measured.sent,
            nsPerStatement: Math.round((end.ns - start.ns) / (end.count - start.count)),
            sendP50Ns: { off: off.p50Ns, on: on.p50Ns },
            perSecond: { off: Math.round(off.sent / off.seconds), on: Math.round(on.sent / on.seconds) },
            knownShare: counters ? counters.known / counters.statements : 0,
          };
        }),
      );
  } finally {
    writeFileSync(STATS, before);
  }
  if (!json)
    for (const one of sizes) {
      row(
        `sk_msg program, known shape, ${one.bytes} B${one.dense ? ", short words throughout" : ""}`,
        `${one.nsPerStatement} ns`,
        `≤ ${one.targetNs} ns`,
        one.nsPerStatement <= one.targetNs,
      );
      row(`  send() p50, off → enforcing`, `${one.sendP50Ns.off} → ${one.sendP50Ns.on} ns`);
      row(`  statements/s of one thread, off → enforcing`, `${one.perSecond.off} → ${one.perSecond.on}`);
      row(`  share of statements that were known`, one.knownShare.toFixed(5));
    }
  return { sizes };
}
