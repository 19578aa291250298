/**
 * What the first use of a shape costs when it is held: a one-row select on a real MariaDB and PostgreSQL, in turn on a
 * connection that is not watched, one whose shape is known, and one whose shape is held, run through the token rules by
 * the keeper, and released. Only differences within one run mean anything on a shared machine.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Action, Consult, OnFailure } from "@picket/native/events";
import { cgroup2Mount, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { startKeeper } from "../harness/keeper.ts";
import { watchKernel } from "../harness/kernel.ts";
import { output, row } from "./guarded.ts";

type Times = Record<"off" | "known" | "held", { p50: number; p99: number }>;

export async function run({ json = false, rounds = 10_000 } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), "picket-bench-hold-"));
  const trust = join(scratch, "pg_hba.conf");
  const binary = join(scratch, "hold");
  chmodSync(scratch, 0o755);
  writeFileSync(trust, "local all all trust\nhost all all 127.0.0.1/32 trust\n", { mode: 0o644 });
  execFileSync("gcc", ["-O2", "-o", binary, fileURLToPath(new URL("./hold.c", import.meta.url))]);
  const [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: "shop" }),
    startPostgreSQL({ database: "shop", settings: { hba_file: trust } }),
  ]);
  const watched = await watchKernel("bench-hold", {
    mode: "enforce",
    hold: { holdBytesMax: 48 << 20, holdBurst: 1_000_000, failMask: 0, onFailure: OnFailure.OPEN },
  });
  const keeper = await startKeeper(watched.pins);
  try {
    await mariadb.exec("CREATE USER raw@'127.0.0.1' IDENTIFIED BY ''");
    await postgresql.exec("CREATE ROLE picket LOGIN").catch(() => {});
    keeper.rules(1, [
      { id: "sqli-union", pattern: "union [all|distinct] select", action: Action.BLOCK },
      { id: "sqli-tautology", pattern: "or $a = $a", action: Action.BLOCK },
      { id: "sqli-sleep", pattern: "sleep '('", action: Action.BLOCK },
    ]);
    keeper.policy({ consult: Consult.NEVER });
    const play = async (count: number) =>
      JSON.parse(
        await output(null, [
          binary,
          cgroup2Mount(),
          watched.cgroup,
          String(mariadb.port),
          String(postgresql.port),
          String(count),
        ]),
      ) as Record<"mariadb" | "postgresql", Times>;
    await play(1);
    for (const { sql, held } of keeper.held)
      if (sql === "select 1 a")
        watched.slot.setVerdict(held.fingerprint, {
          verdict: "benign",
          action: "observe",
          rule: null,
          source: "judged",
        });
    const before = watched.slot.counters();
    const times = await play(rounds);
    const after = watched.slot.counters();
    if (!json) {
      const us = (ns: number) => (ns / 1_000).toFixed(1);
      for (const [name, ways] of Object.entries(times)) {
        for (const [way, { p50, p99 }] of Object.entries(ways))
          row(`${name}: one-row select, ${way}, p50 / p99 µs`, `${us(p50)} / ${us(p99)}`);
        const added = [ways.held.p50 - ways.off.p50, ways.held.p99 - ways.off.p99] as const;
        const met = added[0] <= 30_000 && added[1] <= 150_000;
        row(`${name}: added by hold, judge, release`, added.map(us).join(" / "), "≤ 30 / ≤ 150", met);
      }
    }
    return { ...times, known: after.known - before.known, unknown: after.unknown - before.unknown };
  } finally {
    await keeper.stop();
    await watched.stop();
    await Promise.all([mariadb.stop(), postgresql.stop()]);
    rmSync(scratch, { recursive: true, force: true });
  }
}
