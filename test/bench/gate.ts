/**
 * How often the gate rolls back a version that changes nothing, and how soon one that does harm.
 *
 *     npm run bench -- gate [--runs=200] [--seed=1] [--plot=docs/images/gate.svg]
 */
import { writeFileSync } from "node:fs";
import { ALPHA, LOOK_S, type Outcome, SOAK_S, STEPS, soak, usual, type World } from "../simulation/gate.ts";

const same: [string, Partial<World>][] = [
  ["20 canaries of 100, nodes alike", { unlike: 0, drift: 0, badMinute: 0 }],
  ["20 of 100, nodes unlike, drifting, bad minutes", {}],
  ["20 of 100, very unlike (spread 1, drift 0.5)", { unlike: 1, drift: 0.5 }],
  ["5 of 100", { canaries: 5, controls: 95 }],
  ["3 of 20, very unlike", { canaries: 3, controls: 17, unlike: 1, drift: 0.5 }],
  ["4 of 20, little traffic (1/s)", { canaries: 4, controls: 16, perSecond: 1 }],
  ["20 of 100, errors are rare (1 in 100,000)", { errors: 1e-5 }],
  ["50 of 500", { canaries: 50, controls: 450, perSecond: 2 }],
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
  const runs = Number(option("runs") ?? 200);
  const first = Number(option("seed") ?? 1);
  const say = (text: string) => void (json || console.log(text));
  const times = (world: Partial<World>): Outcome[] =>
    Array.from({ length: runs }, (_, i) => soak({ ...usual, ...world }, first + i * 7_919));
  say(
    `alpha ${ALPHA} for ${STEPS} steps; each run is one step of ${SOAK_S / 60} minutes, a look every ${LOOK_S} s; ${runs} runs each, seed ${first}\n`,
  );
  const calm = same.map(([name, world]) => {
    const outcomes = times(world);
    const rolled = outcomes.filter(({ worseAtS }) => worseAtS !== null);
    const fineAtS = outcomes.flatMap(each => (each.fineAtS === null ? [] : [each.fineAtS]));
    return { name, rolledBack: rolled.length, by: [...new Set(rolled.map(({ by }) => by))], fineAtS };
  });
  say(
    "| Nothing changes | rolled back | at most (95 %) | all shown fine | median time |\n|---|---|---|---|---|",
  );
  for (const { name, rolledBack, by, fineAtS } of calm)
    say(
      `| ${name} | ${rolledBack} of ${runs}${rolledBack > 0 ? ` (${by.join(", ")})` : ""} | ${percent(wilsonUpper(rolledBack, runs))} | ${percent(fineAtS.length / runs)} | ${quantile(fineAtS, 0.5)} |`,
    );
  const wrong = calm.reduce((sum, { rolledBack }) => sum + rolledBack, 0);
  const all = runs * calm.length;
  say(`| all | ${wrong} of ${all} | ${percent(wilsonUpper(wrong, all))} | | |\n`);

  const found = harmed.map(([name, world]) => {
    const outcomes = times(world);
    const atS = outcomes.flatMap(each => (each.worseAtS === null ? [] : [each.worseAtS]));
    return { name, atS, by: mode(outcomes.flatMap(({ by }) => (by === null ? [] : [by]))) };
  });
  say("| Harm | rolled back | p50 | p95 | mostly by |\n|---|---|---|---|---|");
  for (const { name, atS, by } of found)
    say(
      `| ${name} | ${percent(atS.length / runs)} | ${quantile(atS, 0.5)} | ${quantile(atS, 0.95)} | ${by} |`,
    );
  const plot = option("plot");
  if (plot !== undefined) writeFileSync(plot, draw(found, runs));
  return {
    name: "gate",
    runs,
    seed: first,
    falseAlarms: { rolledBack: wrong, of: all },
    detected: Object.fromEntries(found.map(({ name, atS }) => [name, atS.length / runs])),
  };
}

function mode(values: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "–";
}

/** The share that is rolled back by each time, as an SVG; time is logarithmic. */
function draw(curves: readonly { name: string; atS: number[] }[], runs: number): string {
  const [width, height, left, top] = [760, 340, 50, 20];
  const plotWidth = 430;
  const x = (s: number) => left + (Math.log(s / LOOK_S) / Math.log(SOAK_S / LOOK_S)) * plotWidth;
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
  const lines = curves.map(({ atS }, i) => {
    const sorted = atS.toSorted((a, b) => a - b);
    const points = sorted.map((s, n) => `${x(s).toFixed(1)},${y((n + 1) / runs).toFixed(1)}`);
    return `<polyline fill="none" stroke="${colours[i % colours.length]}" stroke-width="2" points="${x(LOOK_S)},${y(0)} ${points.join(" ")} ${x(SOAK_S)},${y(sorted.length / runs)}"/>`;
  });
  const legend = curves.map(
    ({ name }, i) =>
      `<g transform="translate(${left + plotWidth + 20},${top + 8 + i * 24})"><line x2="18" stroke="${colours[i % colours.length]}" stroke-width="3"/><text x="24" y="4">${name.replace(/&/g, "&amp;")}</text></g>`,
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
