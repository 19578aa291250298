/**
 * How often the gate rolls back a version that changes nothing, in whole rollouts, and how soon one that does harm.
 *
 *     npm run bench -- gate [--runs=100] [--seed=1] [--workers=1] [--docs]
 *
 * `--docs` writes the tables into docs/gate.md and the plot beside it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ALPHA, LOOK_S, type Outcome, SOAK_S, STEPS, usual, type World } from "../simulation/gate.ts";
import type { Task } from "../simulation/gate-process.ts";

const docs = fileURLToPath(new URL("../../docs/", import.meta.url));

const unbroken = { restartsPerHour: 0, awayPerHour: 0, losing: 0 };
const same: [string, Partial<World>][] = [
  ["20 canaries of 100, nodes alike, nothing breaks", { ...unbroken, unlike: 0, drift: 0, badMinute: 0 }],
  ["20 of 100, nodes unlike, drifting, bad minutes", {}],
  ["20 of 100, very unlike (spread 1, drift 0.5)", { unlike: 1, drift: 0.5 }],
  ["5 of 100", { canaries: 5, controls: 95 }],
  ["3 of 20, very unlike", { canaries: 3, controls: 17, unlike: 1, drift: 0.5 }],
  ["4 of 20, little traffic (1/s)", { canaries: 4, controls: 16, perSecond: 1 }],
  ["20 of 100, errors are rare (1 in 100,000)", { errors: 1e-5 }],
  ["15 of 150, quiet (2/s)", { canaries: 15, controls: 135, perSecond: 2 }],
  ["20 of 100, each restarts or is away every other hour", { restartsPerHour: 0.3, awayPerHour: 0.2 }],
  ["20 of 100, a tenth of all restarts at once, twice an hour", { wavesPerHour: 2 }],
  ["20 of 100, every node often loses events", { unlike: 1, losing: 0.1 }],
  ["10 of 40, a few nodes far louder (spread 1.5)", { canaries: 10, controls: 30, unlike: 1.5 }],
];
const harmed: [string, Partial<World>][] = [
  ["errors 0.1 % → 0.6 %", { harm: { errors: 0.005 } }],
  ["errors 0.1 % → 0.6 %, very unlike nodes", { unlike: 1, drift: 0.5, harm: { errors: 0.005 } }],
  ["errors 0.1 % → 0.3 %", { harm: { errors: 0.002 } }],
  ["errors 0.1 % → 0.6 %, 5 canaries", { canaries: 5, controls: 95, harm: { errors: 0.005 } }],
  ["latency +20 % (p95 and all)", { harm: { latencyFactor: 1.2 } }],
  ["latency +20 %, 5 canaries", { canaries: 5, controls: 95, harm: { latencyFactor: 1.2 } }],
  ["latency +50 %", { harm: { latencyFactor: 1.5 } }],
  ["1 % of statements blocked", { harm: { blocked: 0.01 } }],
  ["agent memory +40 MB", { harm: { memoryBytes: 40e6 } }],
  ["agent CPU +3 % of a core", { harm: { cpuCores: 0.03 } }],
  ["agent CPU +50 %, of 5 % of a core", { cores: 0.05, harm: { cpuFactor: 1.5 } }],
  [
    "agent CPU +50 %, of 5 %, 5 canaries",
    { cores: 0.05, canaries: 5, controls: 95, harm: { cpuFactor: 1.5 } },
  ],
  ["2 % of events lost", { harm: { lost: 0.02 } }],
  ["2 % of events lost, 5 canaries", { canaries: 5, controls: 95, harm: { lost: 0.02 } }],
  ["agents restart twice an hour", { harm: { crashesPerHour: 2 } }],
];

/** The upper end of the 95 % interval of a share (Wilson 1927). */
function wilsonUpper(hits: number, of: number): number {
  const z = 1.96;
  const p = hits / of;
  return (
    (p + (z * z) / (2 * of) + z * Math.sqrt((p * (1 - p)) / of + (z * z) / (4 * of * of))) /
    (1 + (z * z) / of)
  );
}

const quantile = (values: number[], q: number): string =>
  values.length === 0
    ? "–"
    : `${values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))]} s`;
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

export async function run({ json }: { json: boolean }): Promise<Record<string, unknown>> {
  const option = (name: string) =>
    process.argv.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  const runs = Number(option("runs") ?? 100);
  const first = Number(option("seed") ?? 1);
  const lines: string[] = [];
  const say = (text: string) => {
    lines.push(text);
    if (!json) console.log(text);
  };
  const workers = new Workers(Number(option("workers") ?? 1));
  // No two situations share their random numbers.
  const times = (play: Task["play"], world: Partial<World>, situation: number): Promise<Outcome[]> =>
    Promise.all(
      Array.from({ length: runs }, (_, i) =>
        workers.play({
          play,
          world: { ...usual, ...world },
          seed: first + situation * 1_000_003 + i * 7_919,
        }),
      ),
    );
  say(
    `Alpha ${100 * ALPHA} % for ${STEPS} steps of ${SOAK_S / 60} minutes, a look every ${LOOK_S} s; ${runs} runs of each line, seed ${first}.\n`,
  );
  say(
    "| Nothing changes: whole rollouts | rolled back | at most (95 %) | all shown fine | first step, median |\n|---|---|---|---|---|",
  );
  const calm: { name: string; rolledBack: number }[] = [];
  for (const [situation, [name, world]] of same.entries()) {
    const outcomes = await times("rollout", world, situation);
    const rolled = outcomes.filter(({ worseAtS }) => worseAtS !== null);
    const fineAtS = outcomes.flatMap(each => (each.fineAtS === null ? [] : [each.fineAtS]));
    const by = [...new Set(rolled.map(({ by }) => by))];
    say(
      `| ${name} | ${rolled.length} of ${runs}${rolled.length > 0 ? ` (${by.join(", ")})` : ""} | ${percent(wilsonUpper(rolled.length, runs))} | ${percent(fineAtS.length / runs)} | ${quantile(fineAtS, 0.5)} |`,
    );
    calm.push({ name, rolledBack: rolled.length });
  }
  const wrong = calm.reduce((sum, { rolledBack }) => sum + rolledBack, 0);
  const all = runs * calm.length;
  say(`| **all** | **${wrong} of ${all}** | **${percent(wilsonUpper(wrong, all))}** | | |\n`);

  say("| Harm: one step | rolled back | p50 | p95 | mostly by |\n|---|---|---|---|---|");
  const found: { name: string; atS: number[] }[] = [];
  for (const [situation, [name, world]] of harmed.entries()) {
    const outcomes = await times("soak", world, same.length + situation);
    const atS = outcomes.flatMap(each => (each.worseAtS === null ? [] : [each.worseAtS]));
    const by = mode(outcomes.flatMap(each => (each.by === null ? [] : [each.by])));
    say(
      `| ${name} | ${percent(atS.length / runs)} | ${quantile(atS, 0.5)} | ${quantile(atS, 0.95)} | ${by} |`,
    );
    found.push({ name, atS });
  }
  workers.stop();
  if (process.argv.includes("--docs")) {
    const page = readFileSync(`${docs}gate.md`, "utf8");
    const [begin, end] = ["<!-- measured -->\n", "<!-- /measured -->"].map(mark => page.indexOf(mark));
    if (begin! < 0 || end! < begin!) throw new Error("docs/gate.md has no place for the tables");
    const from = begin! + "<!-- measured -->\n".length;
    writeFileSync(`${docs}gate.md`, `${page.slice(0, from)}${lines.join("\n")}\n${page.slice(end)}`);
    writeFileSync(`${docs}images/gate.svg`, draw(found, runs));
  }
  return {
    name: "gate",
    runs,
    seed: first,
    falseAlarms: { rolledBack: wrong, of: all },
    detected: Object.fromEntries(found.map(({ name, atS }) => [name, atS.length / runs])),
  };
}

/** Processes that play one run after the other. */
class Workers {
  readonly #idle: ChildProcess[] = [];
  readonly #all: ChildProcess[];
  readonly #queue: { task: Task; resolve(outcome: Outcome): void; reject(error: Error): void }[] = [];

  constructor(count: number) {
    this.#all = Array.from({ length: count }, () =>
      fork(fileURLToPath(new URL("../simulation/gate-process.ts", import.meta.url)), {
        execArgv: ["--conditions=source", "--import", "tsx"],
      }),
    );
    this.#idle.push(...this.#all);
  }

  play(task: Task): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    const waiting = this.#queue[0];
    const worker = waiting && this.#idle.pop();
    if (!worker) return;
    this.#queue.shift();
    const ended = () => waiting.reject(new Error("a process of the simulation ended"));
    worker.once("exit", ended);
    worker.once("message", outcome => {
      worker.off("exit", ended);
      this.#idle.push(worker);
      waiting.resolve(outcome as Outcome);
      this.#next();
    });
    worker.send(waiting.task);
  }

  stop(): void {
    for (const worker of this.#all) worker.disconnect();
  }
}

function mode(values: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "–";
}

/** The share that is rolled back by each time, as an SVG; time is logarithmic. */
function draw(curves: readonly { name: string; atS: number[] }[], runs: number): string {
  const [width, height, left, top] = [800, 340, 50, 20];
  const plotWidth = 430;
  // The first look, a moment after the first report, is drawn where the second is.
  const x = (s: number) =>
    left + (Math.log(Math.max(s, LOOK_S) / LOOK_S) / Math.log(SOAK_S / LOOK_S)) * plotWidth;
  const y = (share: number) => top + (1 - share) * (height - top - 40);
  const colours = [
    "#1b6ca8",
    "#4d9de0",
    "#7768ae",
    "#3bb273",
    "#e15554",
    "#e1a054",
    "#8c564b",
    "#2f4b7c",
    "#a05195",
    "#f95d6a",
    "#666666",
  ];
  const stroke = (i: number) =>
    `stroke="${colours[i % colours.length]}"${i < colours.length ? "" : ' stroke-dasharray="5 3"'}`;
  const lines = curves.map(({ atS }, i) => {
    const sorted = atS.toSorted((a, b) => a - b);
    const points = sorted.map((s, n) => `${x(s).toFixed(1)},${y((n + 1) / runs).toFixed(1)}`);
    return `<polyline fill="none" ${stroke(i)} stroke-width="2" points="${x(LOOK_S)},${y(0)} ${points.join(" ")} ${x(SOAK_S)},${y(sorted.length / runs)}"/>`;
  });
  const legend = curves.map(
    ({ name }, i) =>
      `<g transform="translate(${left + plotWidth + 20},${top + 8 + i * 20})"><line x2="18" ${stroke(i)} stroke-width="3"/><text x="24" y="4">${name.replace(/&/g, "&amp;")}</text></g>`,
  );
  const ticks = [15, 60, 300, 900, 1_800].map(
    s =>
      `<line x1="${x(s)}" x2="${x(s)}" y1="${y(0)}" y2="${y(1)}" stroke="#ddd"/><text x="${x(s)}" y="${y(0) + 18}" text-anchor="middle">${s < 60 ? `${s} s` : `${s / 60} min`}</text>`,
  );
  const shares = [0, 0.5, 1].map(
    share => `<text x="${left - 8}" y="${y(share) + 4}" text-anchor="end">${100 * share} %</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"><title>Time until the gate rolls a harmful version back, by kind of harm</title><rect width="100%" height="100%" fill="#fff"/>${ticks.join("")}${shares.join("")}${lines.join("")}${legend.join("")}</svg>\n`;
}
