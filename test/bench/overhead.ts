/**
 * What an application loses: point selects against a real MariaDB and PostgreSQL, one statement at a time without
 * think time, so that the whole cost is seen. One program (select.c) holds a connection outside and one in each of
 * three guarded cgroups, observed, enforced, and enforced without the repair of FIONREAD, and lets them take turns of
 * a third of a millisecond: read the ratios. Of a shared machine the fastest turns tell most.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Agent, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { output, RULES, row } from "./guarded.ts";

type Turns = { turns: number; fastNs: number; medianNs: number; pairedRatio: number };

const GUARDED = ["observing", "enforcing", "enforcing, FIONREAD unused"] as const;
const TARGET = 0.97;
const SCHEMA = "CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(50));";

export async function run({ json = false, seconds = 10 } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), "picket-bench-overhead-"));
  chmodSync(scratch, 0o755); // The server's account reads the file.
  const trust = join(scratch, "pg_hba.conf");
  writeFileSync(trust, "local all all trust\nhost all all 127.0.0.1/32 trust\n", { mode: 0o644 });
  const program = join(scratch, "select");
  execFileSync("gcc", ["-O2", "-o", program, fileURLToPath(new URL("./select.c", import.meta.url))]);
  const [mariadb, postgresql] = await Promise.all([
    startMariaDB(),
    startPostgreSQL({ settings: { hba_file: trust } }),
  ]);
  const cgroups: Cgroup[] = [];
  const agents: Agent[] = [];
  try {
    await mariadb.exec(`USE ${mariadb.database}; ${SCHEMA}
      INSERT INTO products SELECT seq, CONCAT('product ', seq) FROM seq_1_to_10000;
      CREATE USER bench@'127.0.0.1'; GRANT SELECT ON ${mariadb.database}.* TO bench@'127.0.0.1';`);
    await postgresql.exec(
      `${SCHEMA} INSERT INTO products SELECT n, 'product ' || n FROM generate_series(1, 10000) n;`,
    );
    for (const what of GUARDED) {
      const cgroup = makeCgroup(`picket-bench-overhead-${cgroups.length}-${process.pid}`);
      cgroups.push(cgroup);
      const agent = await startAgent({ cgroup: cgroup.path, rules: RULES });
      agents.push(agent);
      if (what !== "observing")
        await agent.guard(cgroup.path, { fionread: what === "enforcing" ? "kept" : "unused" });
    }
    const servers = {
      MariaDB: ["mysql", String(mariadb.port), "bench", mariadb.database],
      PostgreSQL: ["pg", String(postgresql.port), postgresql.user, postgresql.database],
    };
    const ratios: Record<string, { roundTripUs: number; fast: number[]; paired: number[] }> = {};
    for (const [name, server] of Object.entries(servers)) {
      const procs = cgroups.map(({ path }) => join(path, "cgroup.procs"));
      const told = await output(null, [program, ...server, String(seconds), ...procs]);
      const [off, ...guarded] = told
        .trim()
        .split("\n")
        .map(line => JSON.parse(line) as Turns);
      ratios[name] = {
        roundTripUs: off!.fastNs / 1_000,
        fast: guarded.map(({ fastNs }) => off!.fastNs / fastNs),
        paired: guarded.map(({ pairedRatio }) => pairedRatio),
      };
      if (!json) {
        row(`${name}: a point select without agent`, `${ratios[name].roundTripUs.toFixed(1)} µs`);
        for (const [i, what] of GUARDED.entries()) {
          const fast = ratios[name].fast[i]!;
          const measured = `${fast.toFixed(3)} (${ratios[name].paired[i]!.toFixed(3)})`;
          if (what === "observing") row(`  ${what} / off, fastest turns (all turns)`, measured);
          else row(`  ${what} / off`, measured, `≥ ${TARGET}`, fast >= TARGET);
        }
      }
    }
    return { guarded: GUARDED, ratios };
  } finally {
    for (const agent of agents) {
      await agent.stop();
      forget(agent);
    }
    await Promise.all([...cgroups.map(cgroup => cgroup.remove()), mariadb.stop(), postgresql.stop()]);
    rmSync(scratch, { recursive: true, force: true });
  }
}
