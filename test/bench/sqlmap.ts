/**
 * sqlmap against the demo's shop, on loopback: each parameter on each database, plainly and with each tamper, first
 * without Picket, then with it, cold and with what the shop sends learned and locked. A cell is exploited when sqlmap
 * reads the server's banner. What it exploits without Picket must fail with it, and the shop's honest visitors must
 * not notice. Bounded in time (--seconds, default 3,600 in all); cells for which none was left are listed.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "@picket/infra/ports";
import { startShopDatabases } from "../../infra/demo/src/databases.ts";
import { startTraffic, type TrafficCounts } from "../../infra/demo/src/traffic.ts";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { inCgroup, makeCgroup } from "../harness/index.ts";

const SHOP = fileURLToPath(new URL("../../infra/demo/dist/shop.js", import.meta.url));
const WORKERS = 4;
const CELL_S = 90;
const LEARN_MS = 20_000;

const PARAMETERS = [
  { path: "/product", name: "id", query: "id=1" },
  { path: "/search", name: "q", query: "q=tea" },
  { path: "/login", name: "email", query: "email=a@example.net&password=x" },
  { path: "/login", name: "password", query: "email=a@example.net&password=x" },
  { path: "/products", name: "sort", query: "sort=name" },
  { path: "/prices", name: "ids", query: "ids=1" },
] as const;
const DATABASES = ["mariadb", "postgresql"] as const;
const TAMPERS = [
  "space2comment",
  "randomcase",
  "between",
  "charencode",
  "space2plus",
  "equaltolike",
  "randomcomments",
  "symboliclogical",
] as const;

type Cell = {
  path: string;
  name: string;
  query: string;
  database: (typeof DATABASES)[number];
  tamper: string | null;
};
type Outcome = "exploited" | "not exploited" | "no time left";

const RULES = (drift: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: sqlmap
spec:
  core: true
  drift: ${drift}
`;

const cells: Cell[] = [null, ...TAMPERS].flatMap(tamper =>
  PARAMETERS.flatMap(parameter => DATABASES.map(database => ({ ...parameter, database, tamper }))),
);
/** sqlmap waits for itself as much as for the shop. */
const AT_ONCE = 2;
/** Of the time, when each round is over: what is not open to begin with soon is. */
const ROUNDS = { off: 0.25, cold: 0.625, locked: 1 };

const label = ({ path, name, database, tamper }: Cell): string =>
  `${database} ${path} ${name}${tamper ? ` --tamper=${tamper}` : ""}`;

export async function run({ json, seconds = 3_600 }: { json: boolean; seconds?: number }) {
  if (!(await isInstalled())) {
    console.error("SKIPPED: sqlmap is not installed (apt-get install sqlmap)");
    return { skipped: true };
  }
  const began = performance.now();
  const until = (share: number) => began + share * seconds * 1_000;
  const cgroup = makeCgroup(`picket-test-sqlmap-${process.pid}`);
  const databases = await startShopDatabases();
  const [port, statusPort] = [await freePort(), await freePort()];
  const shop = inCgroup(cgroup.path, [process.execPath, SHOP], {
    stdio: "ignore",
    env: {
      ...process.env,
      ...databases.env,
      SHOP_PORT: String(port),
      SHOP_STATUS_PORT: String(statusPort),
      SHOP_WORKERS: String(WORKERS),
    },
  });
  const address = `http://127.0.0.1:${port}`;
  let agent: Agent | undefined;
  try {
    await eventually(
      async () => (await fetch(`http://127.0.0.1:${statusPort}/healthz`).catch(() => null))?.ok || undefined,
      "the shop is up",
    );
    const say = (text: string) => (json ? undefined : console.log(text));
    const off = await round(cells, address, until(ROUNDS.off), say, "without Picket");
    const open = cells.filter((_, i) => off.outcomes[i] === "exploited");
    agent = await startAgent({ cgroup: cgroup.path, rules: RULES("{ mode: learn }") });
    await agent.guard(cgroup.path);
    const learning = startTraffic({ address, ratePerS: 50 });
    await new Promise(resolve => setTimeout(resolve, LEARN_MS));
    const learned = await learning.stop();
    const cold = await round(open, address, until(ROUNDS.cold), say, "cold");
    agent.writeRules(RULES("{ mode: enforce, locked: true }"));
    await eventually(
      async () => (await agent!.status()).report.installed.some(({ version }) => version === 2) || undefined,
      "the locked version",
    );
    const locked = await round(open, address, until(ROUNDS.locked), say, "learned and locked");
    const result = {
      cells: cells.length,
      exploitedWithoutPicket: open.map(label),
      notExploitedWithoutPicket: cells.filter((_, i) => off.outcomes[i] === "not exploited").map(label),
      noTimeWithoutPicket: cells.filter((_, i) => off.outcomes[i] === "no time left").map(label),
      cold: tally(open, cold.outcomes),
      locked: tally(open, locked.outcomes),
      honest: { learning: learned, cold: cold.traffic, locked: locked.traffic },
    };
    say(`\n${JSON.stringify(result, null, 2)}`);
    return result;
  } finally {
    await agent?.stop();
    if (agent) forget(agent);
    shop.kill("SIGTERM");
    await databases.stop();
    await cgroup.remove();
  }
}

const tally = (of: readonly Cell[], outcomes: readonly Outcome[]) => ({
  stopped: of.filter((_, i) => outcomes[i] === "not exploited").length,
  exploited: of.filter((_, i) => outcomes[i] === "exploited").map(label),
  noTime: of.filter((_, i) => outcomes[i] === "no time left").map(label),
});

/** All cells, while honest visitors come. */
async function round(
  of: readonly Cell[],
  address: string,
  endsMs: number,
  say: (text: string) => void,
  phase: string,
): Promise<{ outcomes: Outcome[]; traffic: TrafficCounts }> {
  const traffic = startTraffic({ address, ratePerS: 10 });
  const outcomes: Outcome[] = of.map(() => "no time left");
  const waiting = of.entries();
  const attacker = async () => {
    for (const [i, cell] of waiting) {
      const began = performance.now();
      if (began > endsMs) return;
      const outcome = await attack(cell, address);
      outcomes[i] = outcome;
      const took = ((performance.now() - began) / 1_000).toFixed(1).padStart(6);
      say(`${phase.padEnd(20)} ${outcome.padEnd(14)} ${took} s  ${label(cell)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, attacker));
  return { outcomes, traffic: await traffic.stop() };
}

async function attack(cell: Cell, address: string): Promise<Outcome> {
  const output = mkdtempSync(join(tmpdir(), "picket-sqlmap-"));
  const args = [
    ...["-u", `${address}${cell.path}?db=${cell.database}&${cell.query}`, "-p", cell.name],
    ...["--batch", "--flush-session", "--level=2", "--risk=1", "--technique=BEU", "--banner"],
    ...[`--dbms=${cell.database === "mariadb" ? "mysql" : "postgresql"}`, "--timeout=5", "--retries=0"],
    ...["--disable-coloring", `--output-dir=${output}`, ...(cell.tamper ? [`--tamper=${cell.tamper}`] : [])],
  ];
  try {
    const printed = await runFor(CELL_S, "sqlmap", args);
    return /^banner: '.+'/m.test(printed) ? "exploited" : "not exploited";
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

/** What it printed until it ended, or was ended. */
function runFor(seconds: number, command: string, args: string[]): Promise<string> {
  return new Promise(resolve => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1_000);
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk;
    });
    child.on("close", () => {
      clearTimeout(timer);
      resolve(printed);
    });
  });
}

const isInstalled = () =>
  new Promise<boolean>(resolve => {
    const child = spawn("sqlmap", ["--version"], { stdio: "ignore" });
    child.on("error", () => resolve(false));
    child.on("close", code => resolve(code === 0));
  });
