/**
 * Detections ingested and committed: `npm run bench -- ingest`. A control plane (all in one process) on a PostgreSQL
 * that syncs every commit to disk and a Redis, and eight nodes that send full batches over HTTP, all on this machine.
 * Afterwards the rows are counted, and a tenth of the batches is sent again: none lost, none twice.
 */
import { spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres, startRedis } from "@picket/infra/embedded";
import pg from "pg";

const TARGET = 20_000;
const NODES = 8;
const BATCH = 1_000;
const BATCHES_PER_NODE = 40;
const ROUNDS = 3;
const TOKEN = `pkt_${"b".repeat(32)}`;

export async function run({ json = false } = {}) {
  const home = mkdtempSync(join(tmpdir(), "picket-bench-"));
  chmodSync(home, 0o755);
  const postgres = await startPostgres({ dir: join(home, "pg"), durable: true });
  const redis = await startRedis({ dir: join(home, "redis") });
  const controlPlane = await startControlPlane({ DATABASE_URL: postgres.url, REDIS_URL: redis.url });
  const database = new pg.Client(postgres.options);
  await database.connect();
  try {
    const nodes = await enrol(controlPlane.url);
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++)
      rounds.push(await measure({ controlPlane, postgres, nodes, database, causes: 200 }));
    const rates = rounds.map(({ perSecond }) => perSecond).sort((a, b) => a - b);
    const result = {
      name: "ingest",
      target: TARGET,
      perSecond: rates[Math.floor(rates.length / 2)],
      rounds,
      batch: BATCH,
      nodes: NODES,
      lost: rounds.reduce((sum, { lost }) => sum + lost, 0),
      twice: rounds.reduce((sum, { twice }) => sum + twice, 0),
    };
    if (!json) print(result);
    return result;
  } finally {
    await database.end();
    await controlPlane.stop();
    await redis.stop();
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

function print({ perSecond, rounds, lost, twice }) {
  console.log(
    "Detections ingested and committed (HTTP, validation, PostgreSQL with fsync; client on the same cores)",
  );
  for (const { events, seconds, perSecond: rate, cpuMicrosecondsPerEvent: cpu } of rounds)
    console.log(
      `  ${events} in ${seconds.toFixed(2)} s: ${rate.toLocaleString("en")} /s (CPU a detection: control plane ${cpu.controlPlane} µs, PostgreSQL ${cpu.postgres} µs)`,
    );
  const verdict = perSecond >= TARGET ? "reached" : "missed";
  console.log(
    `  median ${perSecond.toLocaleString("en")} /s, target ${TARGET.toLocaleString("en")} /s ${verdict}`,
  );
  console.log(`  lost ${lost}, twice ${twice}`);
}

async function measure({ controlPlane, postgres, nodes, database, causes }) {
  const { url } = controlPlane;
  const stored = async () => Number((await database.query("select count(*) from detections")).rows[0].count);
  const before = await stored();
  const work = nodes.map(node => ({
    node,
    bodies: Array.from({ length: BATCHES_PER_NODE }, () => batch(causes)),
  }));
  const events = NODES * BATCHES_PER_NODE * BATCH;
  const agent = new Agent({ keepAlive: true, maxSockets: NODES });
  const cpu = () => ({ api: cpuSeconds([controlPlane.pid]), database: cpuSeconds(childrenOf(postgres.pid)) });
  const cpuBefore = cpu();
  const started = process.hrtime.bigint();
  await Promise.all(
    work.map(async ({ node, bodies }) => {
      for (const body of bodies) await post(`${url}/v1/agent/events`, nodeToken(node), body, agent);
    }),
  );
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const cpuAfter = cpu();
  const committed = (await stored()) - before;
  // What an agent does whose answers were lost.
  for (const { node, bodies } of work)
    for (const body of bodies.slice(0, BATCHES_PER_NODE / 10))
      await post(`${url}/v1/agent/events`, nodeToken(node), body, agent);
  const again = (await stored()) - before;
  agent.destroy();
  return {
    events,
    seconds,
    perSecond: Math.round(events / seconds),
    // What it costs whoever else uses the machine meanwhile: alerts are folded in the same process.
    cpuMicrosecondsPerEvent: {
      controlPlane: Math.round(((cpuAfter.api - cpuBefore.api) / events) * 1e7) / 10,
      postgres: Math.round(((cpuAfter.database - cpuBefore.database) / events) * 1e7) / 10,
    },
    lost: events - committed,
    twice: again - committed,
  };
}

/** User and system, from proc_pid_stat(5): fields 14 and 15, in hundredths of a second. */
function cpuSeconds(pids) {
  return pids.reduce((sum, pid) => {
    const fields = statOf(pid);
    return fields === undefined ? sum : sum + (Number(fields[11]) + Number(fields[12])) / 100;
  }, 0);
}

function childrenOf(parent) {
  return readdirSync("/proc")
    .filter(name => /^\d+$/.test(name) && statOf(name)?.[1] === String(parent))
    .map(Number);
}

/** From the third field on: the second may hold blanks. */
function statOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  } catch {
    return undefined; // It has ended.
  }
}

function batch(causes) {
  const at = new Date().toISOString();
  const events = Array.from({ length: BATCH }, (_, i) => ({
    id: randomUUID(),
    at,
    priority: "P2",
    causalKey: `injection:shop:rule-${i % causes}`,
    kind: "statement",
    verdict: "attack",
    action: "block",
    guarantee: "prevented",
    dialect: "mysql",
    message: "query",
    sql: "SELECT name, price FROM products WHERE category = ? AND id = ? UNION SELECT password, ? FROM users -- ",
    shape: "ab".repeat(32),
    rules: ["union-select", "trailing-comment"],
    danger: ["union", "comment"],
    stage: "kernel",
    ruleSet: "shop",
    version: 2,
    slot: 1,
    process: {
      pid: 4711,
      comm: "node",
      executable: "/usr/bin/node",
      cgroup: "/shop.slice",
      workload: "shop",
    },
    endpoints: { localAddress: "127.0.0.1", localPort: 40_000, remoteAddress: "127.0.0.1", remotePort: 3306 },
    connection: "1234567890",
    wouldBlock: false,
    count: 1,
  }));
  return Buffer.from(JSON.stringify({ events }));
}

function post(url, token, body, agent) {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      "content-length": body.length,
    };
    const outgoing = request(url, { method: "POST", headers, agent }, answer => {
      const chunks = [];
      answer.on("data", chunk => chunks.push(chunk));
      answer.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        if (answer.statusCode < 300) resolve(text === "" ? undefined : JSON.parse(text));
        else reject(new Error(`${url}: ${answer.statusCode} ${text}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function enrol(url) {
  const agent = new Agent();
  const send = (path, token, body) => post(url + path, token, Buffer.from(JSON.stringify(body)), agent);
  const { token } = await send("/v1/join-tokens", TOKEN, { usesMax: NODES });
  return Promise.all(
    Array.from({ length: NODES }, async (_, i) => {
      const { privateKey, publicKey } = generateKeyPairSync("ed25519");
      const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64url");
      const body = {
        joinToken: token,
        publicKey: raw,
        hostname: `bench-${i}`,
        kernel: "6.18",
        agentVersion: "0.1.0",
      };
      const { node } = await send("/v1/enrol", "none", body);
      return { id: node, key: privateKey };
    }),
  );
}

/** Of its own for each call, as an agent may; half a minute old at most. */
function nodeToken({ id, key }) {
  const iat = Math.floor(Date.now() / 1_000);
  const encode = value => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iss: id, sub: id, aud: "picket", iat, exp: iat + 60, jti: randomUUID() };
  const signed = `${encode({ alg: "EdDSA" })}.${encode(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

function startControlPlane(environment) {
  // As it is run: built.
  const main = fileURLToPath(new URL("../../services/control-plane/dist/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, "--all"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment, PICKET_LISTEN: "127.0.0.1:0", PICKET_BOOTSTRAP_TOKEN: TOKEN },
  });
  const exited = new Promise(resolve => child.once("exit", resolve));
  return new Promise((resolve, reject) => {
    const { pid } = child;
    let log = "";
    child.stdout.on("data", chunk => {
      log += chunk;
      const url = /"url":"(http:[^"]+)"/.exec(log)?.[1];
      if (url) resolve({ url, pid, stop: () => child.kill("SIGTERM") && exited });
    });
    void exited.then(code => reject(new Error(`the control plane ended with ${code}:\n${log}`)));
  });
}
