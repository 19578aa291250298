/**
 * What the first use of a shape costs when it is held: a one-row select on a real MariaDB and PostgreSQL, in turn on a
 * connection that is not watched, one whose shape is known, and one whose shape is held and released: by the keeper's
 * token rules with nobody else in the way, then beside a whole agent, in each way to consult it, and where it asks its
 * parser. Only differences within one run mean anything on a shared machine.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Action, Consult, OnFailure } from "@picket/native/events";
import { forget, startAgent } from "../harness/agent.ts";
import { cgroup2Mount, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { startKeeper } from "../harness/keeper.ts";
import { watchKernel } from "../harness/kernel.ts";
import { output, row } from "./guarded.ts";

/** Stage of the judge that decides, and what of the design holds for it. */
const CASES = [
  { name: "token rules, agent told", consult: "never", statement: "select 1", p50Us: 30, p99Us: 150 },
  { name: "agent asked where grey", consult: "grey", statement: "select 1", p50Us: 30, p99Us: 150 },
  { name: "agent asked", consult: "always", statement: "select 1", p50Us: 30, p99Us: 150 },
  {
    name: "agent and its parser asked",
    consult: "always",
    statement: "select case count(*) when 3 then 4 end",
    p50Us: 3_000,
    p99Us: 3_000,
  },
] as const;

type Times = Record<"off" | "known" | "held", { p50: number; p99: number }>;
type Played = Record<"mariadb" | "postgresql", Times>;
type Play = (cgroup: string, rounds: number, ...statement: string[]) => Promise<Played>;

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
  const play: Play = async (cgroup, count, ...statement) => {
    const ports = [String(mariadb.port), String(postgresql.port)];
    return JSON.parse(
      await output(null, [binary, cgroup2Mount(), cgroup, ...ports, String(count), ...statement]),
    );
  };
  try {
    await mariadb.exec("CREATE USER raw@'127.0.0.1' IDENTIFIED BY ''");
    await postgresql.exec("CREATE ROLE picket LOGIN").catch(() => {});
    const alone = await keeperAlone(play, rounds);
    if (!json) tell("keeper alone", alone, { p50Us: 30, p99Us: 150 });
    const consulted: Record<string, Played> = {};
    for (const each of CASES) {
      consulted[each.name] = await besideAgent(play, each, Math.round(rounds / 4));
      if (!json) tell(each.name, consulted[each.name]!, each);
    }
    return { alone, consulted };
  } finally {
    await Promise.all([mariadb.stop(), postgresql.stop()]);
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function keeperAlone(play: Play, rounds: number): Promise<Played> {
  const watched = await watchKernel("bench-hold", {
    mode: "enforce",
    hold: { holdBytesMax: 48 << 20, holdBurst: 1_000_000, failMask: 0, onFailure: OnFailure.OPEN },
  });
  const keeper = await startKeeper(watched.pins);
  try {
    keeper.rules(1, [
      { id: "sqli-union", pattern: "union [all|distinct] select", action: Action.BLOCK },
      { id: "sqli-tautology", pattern: "or $a = $a", action: Action.BLOCK },
      { id: "sqli-sleep", pattern: "sleep '('", action: Action.BLOCK },
    ]);
    keeper.policy({ consult: Consult.NEVER });
    await play(watched.cgroup, 1);
    for (const { sql, held } of keeper.held)
      if (sql === "select 1 a")
        watched.slot.setVerdict(held.fingerprint, {
          verdict: "benign",
          action: "observe",
          rule: null,
          source: "judged",
        });
    return await play(watched.cgroup, rounds);
  } finally {
    await keeper.stop();
    await watched.stop();
  }
}

async function besideAgent(play: Play, { consult, statement }: (typeof CASES)[number], rounds: number) {
  const cgroup = makeCgroup(`picket-bench-hold-${consult}-${process.pid}`);
  const agent = await startAgent({ cgroup: cgroup.path, rules: rules(consult) });
  try {
    await agent.guard(cgroup.path);
    await play(cgroup.path, 200, statement);
    return await play(cgroup.path, rounds, statement);
  } finally {
    await agent.stop();
    forget(agent);
    await cgroup.remove();
  }
}

function tell(what: string, played: Played, { p50Us, p99Us }: { p50Us: number; p99Us: number }): void {
  const us = (ns: number) => (ns / 1_000).toFixed(1);
  for (const [name, ways] of Object.entries(played)) {
    for (const [way, { p50, p99 }] of Object.entries(ways))
      row(`${name}, ${what}: ${way}, p50 / p99 µs`, `${us(p50)} / ${us(p99)}`);
    const added = [ways.held.p50 - ways.off.p50, ways.held.p99 - ways.off.p99] as const;
    const met = added[0] <= p50Us * 1_000 && added[1] <= p99Us * 1_000;
    row(`${name}, ${what}: added`, added.map(us).join(" / "), `≤ ${p50Us} / ≤ ${p99Us}`, met);
  }
}

const rules = (consult: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: bench
spec:
  core: true
  hold: { consult: ${consult} }
`;
