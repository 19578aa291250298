/**
 * The fleet: `npm run bench -- fleet [--nodes=1000,10000] [--gateways=1] [--connect=2000] [--idle=20] [--profile=<dir>]`.
 * Simulated nodes (test/simulation) hold long polls over real sockets from several loopback addresses, report and
 * reconcile at the pace that they are told. The control plane runs built, in processes of its own, on a PostgreSQL that
 * syncs every commit and a Redis that keeps its log. Plain HTTP, as behind a TLS terminator; every request's token is
 * verified. Nodes are enrolled by SQL (enrolment is measured apart).
 * Memory is what the control plane's processes, PostgreSQL's and Redis's own (Pss); the simulator is left out.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type EmbeddedPostgres, type EmbeddedRedis, startPostgres, startRedis } from "@picket/infra/embedded";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import { IDLE_CALLS_PER_SECOND, paceOf } from "@picket/shared/pace";
import { Redis } from "ioredis";
import pg from "pg";
import type { Address } from "../simulation/connection.ts";
import { drawKey } from "../simulation/identity.ts";
import { type Swarm, spawnSwarm } from "../simulation/spawn.ts";

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const ADMIN = `pkt_${"b".repeat(32)}`;
const PER_PROCESS = 12_500;

const flag = (name: string, otherwise: string): string =>
  process.argv.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;

const IDLE_S = Number(flag("idle", "20"));

export async function run({ json = false }: { json?: boolean } = {}): Promise<Record<string, unknown>> {
  const sizes = flag("nodes", "1000,10000").split(",").map(Number);
  const gateways = Number(flag("gateways", "1"));
  const rows = [];
  for (const nodes of sizes) {
    // A socket a node, and some for the rest.
    if (Math.ceil(nodes / Math.max(1, gateways)) > filesMax() - 200)
      throw new Error(
        `one process may open ${filesMax()} files (ulimit -n): ${nodes} nodes need --gateways=${Math.ceil(nodes / (filesMax() - 200))}`,
      );
    const row = await measure({ nodes, gateways, say: json ? () => {} : console.log });
    rows.push(row);
    if (!json) print(row);
  }
  return { name: "fleet", gateways, rows };
}

type Row = Awaited<ReturnType<typeof measure>>;

function print(row: Row): void {
  const { idle, wave } = row;
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const each = (figures: Record<string, number>, unit: (value: number) => string) =>
    Object.entries(figures)
      .map(([name, value]) => `${name} ${unit(value)}`)
      .join(", ");
  const percent = (value: number) => `${(value * 100).toFixed(1)} %`;
  console.log(
    `\n${row.nodes.toLocaleString("en")} nodes, ${row.gateways} gateway process(es), told to poll, report and reconcile every ${row.pace.poll}, ${row.pace.report} and ${row.pace.reconcile} s`,
  );
  console.log(
    `  connected in ${row.connectS.toFixed(1)} s, all reported after ${row.firstReportsS.toFixed(1)} s; 99 % again after all lost their connection in ${row.stormS.toFixed(1)} s`,
  );
  console.log(`  memory idle: ${each(idle.bytes, mib)}; before anybody came: ${each(row.before, mib)}`);
  console.log(
    `  a connected idle node: ${(idle.bytesPerNode / 1_024).toFixed(1)} KiB (all memory / nodes), ${(idle.bytesPerNodeAdded / 1_024).toFixed(1)} KiB added`,
  );
  console.log(
    `  CPU idle: ${percent(idle.cpuTotal)} of a core (${each(idle.cpu, percent)}), ${idle.pollsPerSecond.toFixed(0)} polls/s, ${idle.reportsPerSecond.toFixed(0)} reports/s`,
  );
  console.log(
    `  wave: rows written after ${wave.decidedS.toFixed(1)} s; delivered to half ${wave.halfS.toFixed(1)}, 99 % ${wave.p99S.toFixed(1)}, last ${wave.lastS.toFixed(1)} s (${wave.deliveredTwice} delivered more than once); all acknowledged ${wave.acknowledgedS.toFixed(1)} s`,
  );
  console.log(
    `    reported by all ${wave.reportedS.toFixed(1)} s; CPU seconds ${each(wave.cpuSeconds, value => value.toFixed(1))}; memory ${each(wave.bytes, mib)}`,
  );
  console.log(
    `  PostgreSQL ${mib(row.databaseBytes)}, Redis ${mib(row.redisBytes)} (most in the wave ${mib(row.redisBytesInWave)})`,
  );
  console.log(`  answered otherwise or not at all: ${JSON.stringify(row.troubles)}`);
}

async function measure({
  nodes,
  gateways,
  say,
}: {
  nodes: number;
  gateways: number;
  say: (line: string) => void;
}) {
  const home = mkdtempSync(join(tmpdir(), "picket-bench-fleet-"));
  chmodSync(home, 0o755);
  const postgres = await startPostgres({ dir: join(home, "pg"), durable: true });
  const redis = await startRedis({ dir: join(home, "redis") });
  const database = new pg.Client(postgres.options);
  await database.connect();
  const parts = new Parts(postgres, redis);
  let swarm: Swarm | undefined;
  try {
    await parts.startControlPlane(gateways);
    const roster = join(home, "roster");
    await enrolBySql(database, nodes, roster);
    await database.query("vacuum analyze");
    await pushRules(parts.api);
    const before = parts.bytes();
    say(`${nodes} nodes enrolled; connecting`);

    const pace = paceOf(nodes, Number(process.env.PICKET_IDLE_CALLS_PER_SECOND ?? IDLE_CALLS_PER_SECOND));
    const connectAtMs = Date.now();
    swarm = spawnSwarm(
      {
        roster,
        count: nodes,
        gateways: parts.gateways.map(address),
        api: [address(parts.api)],
        behaviour: { paced: pace },
        perSecond: Number(flag("connect", "2000")),
        apiConnections: 512,
      },
      Math.max(1, Math.ceil(nodes / PER_PROCESS)),
    );
    const count = swarm.counts;
    await until(async () => (await parts.waiting()) >= nodes, 1_200_000, `all ${nodes} wait`);
    const connectS = (Date.now() - connectAtMs) / 1_000;
    say(`connected after ${connectS.toFixed(1)} s`);
    await until(async () => (await count()).reports >= nodes, 1_200_000, "every node has reported");
    const firstReportsS = (Date.now() - connectAtMs) / 1_000;
    say(`all reported after ${firstReportsS.toFixed(1)} s; idle for ${IDLE_S} s`);
    await pause(5_000);
    await count({ reset: true });
    const idleFrom = parts.cpu();
    await pause(IDLE_S * 1_000);
    const cpu = scale(minus(parts.cpu(), idleFrom), 1 / IDLE_S);
    const { polls, reports, troubles } = await count({ reset: true });
    const bytes = parts.bytes();
    const redisInfo = async () => Number(/used_memory:(\d+)/.exec(await parts.redisInfo())![1]);

    if (process.env.BENCH_TRACE) say(`idle: ${JSON.stringify({ cpu, polls, reports, bytes, before })}`);
    say("a wave to all");
    const waveFrom = parts.cpu();
    const startedMs = Date.now();
    const started = post(parts.api, "/v1/rollouts", {
      ruleSet: "bench",
      version: 1,
      steps: [{ percent: 100, soak: "1h" }],
    });
    let redisBytesInWave = 0;
    let waveBytes = bytes;
    let decidedMs = 0;
    // On a busy machine the answer may not come in time; the rows do.
    void started.catch(error => say(String(error)));
    const isDecided = async () =>
      (await database.query("select from rollouts where rule_set = 'bench'")).rowCount === 1;
    // By the rows: a node whose acknowledgement was taken and not answered does not know, and need not.
    const acknowledgedOf = async (): Promise<{ count: number; lastMs: number }> =>
      (
        await database.query(
          `select count(acknowledged_at)::int as count, extract(epoch from max(acknowledged_at))::float8 * 1000 as "lastMs" from assignments`,
        )
      ).rows[0];
    await until(
      async () => {
        redisBytesInWave = Math.max(redisBytesInWave, await redisInfo());
        waveBytes = most(waveBytes, parts.bytes());
        const { delivered, reported } = await count();
        // Counted only once all were delivered: the database has other things to do.
        const acknowledged = delivered < nodes ? 0 : (await acknowledgedOf()).count;
        if (decidedMs === 0 && (await isDecided())) decidedMs = Date.now();
        if (process.env.BENCH_TRACE)
          say(
            `${Date.now() - startedMs} ms: ${delivered} delivered, ${acknowledged} acknowledged, ${reported} reported`,
          );
        return delivered >= nodes && acknowledged >= nodes && reported >= nodes && decidedMs > 0;
      },
      1_200_000,
      "the wave is everywhere",
      500,
    );
    const done = await count({ reset: true });
    const acknowledged = await acknowledgedOf();
    const cpuSeconds = minus(parts.cpu(), waveFrom);
    const delivered = done.deliveredAtMs.sort((a, b) => a - b);
    const after = (ms: number) => (ms - startedMs) / 1_000;
    const databaseBytes = Number(
      (await database.query("select pg_database_size(current_database()) as bytes")).rows[0].bytes,
    );

    say("every node loses its connection");
    const stormAtMs = Date.now();
    swarm.disconnect();
    await pause(300);
    await until(
      async () => {
        const waiting = await parts.waiting();
        if (process.env.BENCH_TRACE) say(`${Date.now() - stormAtMs} ms: ${waiting} wait`);
        // Of a large fleet some hundred polls end at any moment, and are between two.
        return waiting >= 0.99 * nodes;
      },
      1_200_000,
      "99 % wait again",
    );
    const stormS = (Date.now() - stormAtMs) / 1_000;
    const storm = await count();
    return {
      nodes,
      gateways,
      pace,
      before,
      connectS,
      firstReportsS,
      stormS,
      idle: {
        bytes,
        bytesPerNode: sum(bytes) / nodes,
        bytesPerNodeAdded: sum(minus(bytes, before)) / nodes,
        cpu,
        cpuTotal: sum(cpu),
        pollsPerSecond: polls / IDLE_S,
        reportsPerSecond: reports / IDLE_S,
      },
      wave: {
        decidedS: after(decidedMs),
        halfS: after(delivered[Math.floor(nodes / 2)]!),
        p99S: after(delivered[Math.floor(nodes * 0.99)]!),
        lastS: after(delivered.at(-1)!),
        deliveredTwice: done.deliveredAgain,
        acknowledgedS: after(acknowledged.lastMs),
        reportedS: after(done.lastReportedMs),
        cpuSeconds,
        bytes: waveBytes,
      },
      databaseBytes,
      redisBytes: await redisInfo(),
      redisBytesInWave,
      troubles: { connecting: troubles, wave: done.troubles, storm: storm.troubles },
    };
  } finally {
    await swarm?.stop();
    await parts.stop();
    await database.end();
    await redis.stop();
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

// ---- the control plane's processes, and what they use

type Figures = Record<string, number>;
const minus = (a: Figures, b: Figures): Figures =>
  Object.fromEntries(Object.entries(a).map(([name, value]) => [name, value - (b[name] ?? 0)]));
const scale = (a: Figures, by: number): Figures =>
  Object.fromEntries(Object.entries(a).map(([name, value]) => [name, value * by]));
const most = (a: Figures, b: Figures): Figures =>
  Object.fromEntries(Object.entries(a).map(([name, value]) => [name, Math.max(value, b[name] ?? 0)]));
const sum = (a: Figures): number => Object.values(a).reduce((total, value) => total + value, 0);

class Parts {
  readonly #postgres: EmbeddedPostgres;
  readonly #redis: EmbeddedRedis;
  readonly #children: { name: string; child: ChildProcess; url: string }[] = [];

  constructor(postgres: EmbeddedPostgres, redis: EmbeddedRedis) {
    this.#postgres = postgres;
    this.#redis = redis;
  }

  /** No gateway of its own: everything in one process. */
  async startControlPlane(gateways: number): Promise<void> {
    await this.#start(gateways === 0 ? "all" : "api", "main.js", gateways === 0 ? ["--all"] : []);
    if (gateways === 0) return;
    await this.#start("worker", "worker.js");
    for (let i = 0; i < gateways; i++) await this.#start(`gateway ${i + 1}`, "gateway.js");
  }

  get api(): string {
    return this.#children[0]!.url;
  }

  get gateways(): string[] {
    const apart = this.#children.filter(({ name }) => name.startsWith("gateway")).map(({ url }) => url);
    return apart.length > 0 ? apart : [this.api];
  }

  /** How many long polls wait, by the gateways' own figures. */
  async waiting(): Promise<number> {
    const figures = await Promise.all(
      this.gateways.map(async url => {
        const text = await (await fetch(`${url}/metrics`)).text();
        return Number(/^picket_gateway_waiters (\d+)/m.exec(text)?.[1] ?? 0);
      }),
    );
    return figures.reduce((a, b) => a + b, 0);
  }

  async redisInfo(): Promise<string> {
    const redis = new Redis(this.#redis.url);
    const info = await redis.info("memory");
    redis.disconnect();
    return info;
  }

  /** Proportional set size: shared memory is counted once. */
  bytes(): Figures {
    return this.#by(pids => pids.reduce((total, pid) => total + pss(pid), 0));
  }

  /** Seconds, user and system. */
  cpu(): Figures {
    return this.#by(pids => pids.reduce((total, pid) => total + cpuSeconds(pid), 0));
  }

  async stop(): Promise<void> {
    if (flag("profile", "") === "") for (const { child } of this.#children) child.kill("SIGKILL");
    // A profile is written at an end in order.
    else
      await Promise.all(
        this.#children.map(({ child }) => {
          child.kill("SIGTERM");
          return new Promise(resolve => child.once("exit", resolve));
        }),
      );
  }

  #by(figure: (pids: number[]) => number): Figures {
    const parts = this.#children.map(({ name, child }) => [name, figure([child.pid!])] as const);
    return Object.fromEntries([
      ...parts,
      ["PostgreSQL", figure([this.#postgres.pid, ...childrenOf(this.#postgres.pid)])],
      ["Redis", figure([this.#redis.pid])],
    ]);
  }

  #start(name: string, entry: string, args: string[] = []): Promise<void> {
    const file = fileURLToPath(new URL(`../../services/control-plane/dist/${entry}`, import.meta.url));
    const profile = flag("profile", "");
    const watched = profile === "" ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
    const child = spawn(process.execPath, [...watched, file, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        DATABASE_URL: this.#postgres.url,
        REDIS_URL: this.#redis.url,
        PICKET_LISTEN: "127.0.0.1:0",
        PICKET_BOOTSTRAP_TOKEN: ADMIN,
        PICKET_LOG_LEVEL: process.env.PICKET_LOG_LEVEL ?? "info",
      },
    });
    return new Promise((resolve, reject) => {
      process.once("exit", () => child.kill("SIGKILL"));
      let log = "";
      let ready = false;
      child.stdout!.on("data", chunk => {
        if (ready) return;
        log += chunk;
        if (!/listening|worker running/.test(log)) return;
        ready = true;
        this.#children.push({ name, child, url: /"url":"(http:[^"]+)"/.exec(log)?.[1] ?? "" });
        resolve();
      });
      child.once("exit", code => reject(new Error(`${entry} ended with ${code}:\n${log}`)));
    });
  }
}

function pss(pid: number): number {
  try {
    return Number(/^Pss: +(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]) * 1_024;
  } catch {
    return 0; // It has ended.
  }
}

/** proc_pid_stat(5): from the third field on, since the second may hold blanks. */
const statOf = (pid: number | string): string[] => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  } catch {
    return [];
  }
};
const cpuSeconds = (pid: number): number => {
  const stat = statOf(pid);
  return (Number(stat[11] ?? 0) + Number(stat[12] ?? 0)) / 100;
};
const childrenOf = (parent: number): number[] =>
  readdirSync("/proc")
    .filter(name => /^\d+$/.test(name) && statOf(name)[1] === String(parent))
    .map(Number);

// ---- what is there before

async function enrolBySql(database: pg.Client, nodes: number, roster: string): Promise<void> {
  const token = randomUUID();
  await database.query(
    `insert into join_tokens (id, hash, labels, uses_max, uses, created_at, created_by, expires_at)
     values ($1::uuid, $1::text, '{}', 1000000, $2, now(), 'bench', now() + interval '1 day')`,
    [token, nodes],
  );
  const lines: string[] = [];
  for (let from = 0; from < nodes; from += 5_000) {
    const batch = Array.from({ length: Math.min(5_000, nodes - from) }, () => ({
      id: randomUUID() as string,
      ...drawKey(),
    }));
    lines.push(...batch.map(({ id, d, x }) => JSON.stringify([id, d, x])));
    await database.query(
      `insert into nodes (id, hostname, labels, labels_fixed, public_key, kernel, agent_version, join_token, enrolled_at, last_seen_at, silent_at)
       select id, 'bench', '{}', '{}', key, '6.18.0', '0.1.0', $3, now(), now(), now() + interval '1 hour'
       from unnest($1::uuid[], $2::text[]) as node (id, key)`,
      [batch.map(({ id }) => id), batch.map(({ x }) => x), token],
    );
  }
  writeFileSync(roster, lines.join("\n"));
}

async function pushRules(api: string): Promise<void> {
  const { privateKey } = generateKeyPairSync("ed25519");
  await post(api, "/v1/release-keys", releaseKey(privateKey));
  const bundle = {
    format: 1,
    ruleSet: "bench",
    version: 1,
    ruleText:
      "apiVersion: picket/v1\nkind: RuleSet\nmetadata:\n  name: bench\nspec:\n  thresholds:\n    lostEventsMax: 0\n",
    objects: { slot: "0".repeat(64) },
    abi: 1,
    kernelMin: "5.15",
    floor: 0,
    createdAt: "2026-01-01T00:00:00.000Z",
    expiresAt: "2036-01-01T00:00:00.000Z",
  };
  await post(
    api,
    "/v1/rule-sets/bench/versions",
    signBundle(Buffer.from(JSON.stringify(bundle)), [privateKey]),
  );
}

async function post(api: string, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(api + path, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const address = (url: string): Address => {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
};

/** Of this process and its children. */
const filesMax = (): number =>
  Number(
    /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Number.MAX_SAFE_INTEGER,
  );

const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms));

async function until(
  holds: () => Promise<boolean>,
  mostMs: number,
  what: string,
  everyMs = 200,
): Promise<void> {
  const deadline = Date.now() + mostMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${mostMs / 1_000} s: ${what}`);
    await pause(everyMs);
  }
}
