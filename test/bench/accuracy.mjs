// How well the core rules judge statements that they have never seen: recall of attacks, false positives on
// benign statements, by dialect and family, cold (nothing learned). The statements are not in this repository:
// PICKET_CORPUS names a folder with attack.jsonl, benign.jsonl, probe.jsonl and modes.jsonl (each may be .gz),
// a line each of {id, dialect, sql | sql_hex, session?, label, family}. They are judged by the real command,
// so that the throughput includes reading and writing JSON.
import { spawn } from "node:child_process";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createGunzip } from "node:zlib";

const picket = fileURLToPath(new URL("../../packages/cli/bin/picket.mjs", import.meta.url));

export async function run({ json = false } = {}) {
  const folder = process.env.PICKET_CORPUS;
  if (!folder) {
    console.error(
      "SKIPPED: accuracy was NOT measured. Set PICKET_CORPUS to a folder of labelled statements.",
    );
    return { name: "accuracy", skipped: "PICKET_CORPUS is not set" };
  }
  const started = process.hrtime.bigint();
  const sets = {};
  let statements = 0;
  for (const set of ["attack", "benign", "probe", "modes"]) {
    sets[set] = await judgeSet(folder, set);
    statements += sets[set].length;
  }
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const headline = [...sets.attack, ...sets.benign];
  const result = {
    name: "accuracy",
    statements,
    seconds: round(seconds),
    statementsPerSecond: Math.round(statements / seconds),
    cold: score(headline),
    byDialect: scoreBy(headline, row => row.dialect),
    recallByFamily: scoreBy(sets.attack, row => row.family),
    falsePositivesByFamily: scoreBy(sets.benign, row => row.family),
    sessions: scoreBy(sets.modes, row => `${row.dialect} ${row.session}`),
    probes: scoreBy(sets.probe, row => (row.family === "inert" ? "inert" : "syntax error")),
  };
  if (!json) print(result);
  return result;
}

/** Judges one file through the command; both directions stream. */
async function judgeSet(folder, set) {
  const file = [join(folder, `${set}.jsonl`), join(folder, `${set}.jsonl.gz`)].find(existsSync);
  if (!file) {
    console.error(`SKIPPED: there is no ${set}.jsonl in PICKET_CORPUS`);
    return [];
  }
  const rows = new Map();
  const judge = spawn(process.execPath, [picket, "judge"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => judge.once("error", reject).once("close", resolve));
  const answers = (async () => {
    for await (const line of createInterface({ input: judge.stdout })) {
      const { id, verdict } = JSON.parse(line);
      const row = rows.get(id);
      if (row) row.verdict = verdict;
    }
  })();
  const source = createReadStream(file);
  for await (const line of createInterface({
    input: file.endsWith(".gz") ? source.pipe(createGunzip()) : source,
  })) {
    if (line === "") continue;
    const { id, dialect, family, label, session, sql, sql_hex } = JSON.parse(line);
    rows.set(id, { dialect, family, label, session, verdict: "missing" });
    const request = { id, dialect, ...(sql_hex === undefined ? { sql } : { sql_hex }), session };
    if (!judge.stdin.write(`${JSON.stringify(request)}\n`))
      await new Promise(resolve => judge.stdin.once("drain", resolve));
  }
  judge.stdin.end();
  await answers;
  const code = await ended;
  if (code !== 0) throw new Error(`picket judge ended with ${code} on ${set}`);
  const missing = [...rows.values()].filter(row => row.verdict === "missing").length;
  if (missing > 0) throw new Error(`${missing} statements of ${set} got no verdict`);
  return [...rows.values()];
}

function score(rows) {
  const attacks = rows.filter(row => row.label === "attack");
  const others = rows.filter(row => row.label !== "attack");
  const caught = attacks.filter(row => row.verdict === "attack").length;
  const flagged = others.filter(row => row.verdict === "attack").length;
  const percent = (part, whole) => (whole === 0 ? null : round((100 * part) / whole));
  return {
    attacks: attacks.length,
    recallPercent: percent(caught, attacks.length),
    others: others.length,
    falsePositives: flagged,
    falsePositivePercent: percent(flagged, others.length),
    precisionPercent: percent(caught, caught + flagged),
  };
}

function scoreBy(rows, keyOf) {
  const groups = groupBy(rows, keyOf);
  return Object.fromEntries([...groups].sort().map(([key, group]) => [key, score(group)]));
}

function groupBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) {
    const key = keyOf(row);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return groups;
}

const round = value => Math.round(value * 1_000) / 1_000;

function print({ statements, seconds, statementsPerSecond, ...groups }) {
  console.log(
    `${statements} statements in ${seconds} s through \`picket judge\`: ${statementsPerSecond} a second, JSON included`,
  );
  const line = (
    name,
    { attacks, recallPercent, others, falsePositives, falsePositivePercent, precisionPercent },
  ) =>
    console.log(
      `  ${name.padEnd(46)} ${attacks ? `recall ${recallPercent.toFixed(2).padStart(6)} % of ${String(attacks).padStart(5)}` : " ".repeat(25)}` +
        `${others ? `   flagged ${falsePositivePercent.toFixed(3).padStart(6)} % of ${String(others).padStart(5)} (${falsePositives})` : ""}` +
        `${attacks && others ? `   precision ${precisionPercent?.toFixed(2)} %` : ""}`,
    );
  line("cold", groups.cold);
  for (const [title, group] of [
    ["by dialect", groups.byDialect],
    ["recall by family of attack", groups.recallByFamily],
    ["false positives by family", groups.falsePositivesByFamily],
    ["where the session decides how a statement reads", groups.sessions],
    ["probes (never counted above)", groups.probes],
  ]) {
    console.log(title);
    for (const [name, scored] of Object.entries(group)) line(name, scored);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const json = process.argv.includes("--json");
  const result = await run({ json });
  if (json) console.log(JSON.stringify(result));
}
