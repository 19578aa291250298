// How well the core rules judge statements that they have never seen: recall of attacks, false positives on
// benign statements, by dialect and family, cold (nothing learned). The statements are not in this repository:
// PICKET_CORPUS names a folder with attack.jsonl, benign.jsonl, probe.jsonl and modes.jsonl (each may be .gz),
// a line each of {id, dialect, sql | sql_hex, session?, label, family}. They are judged by the real command,
// so that the throughput includes reading and writing JSON.
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
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
  const sets = { attack: [], benign: [], probe: [], modes: [] };
  const scratch = mkdtempSync(join(tmpdir(), "picket-accuracy-"));
  try {
    const requests = join(scratch, "requests.jsonl");
    const rows = await writeRequests(folder, sets, requests);
    const started = process.hrtime.bigint();
    const answers = await judgeFile(requests, join(scratch, "answers.jsonl"));
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    for await (const line of createInterface({ input: createReadStream(answers) })) {
      const { id, verdict } = JSON.parse(line);
      rows[id].verdict = verdict;
    }
    const missing = rows.filter(row => row.verdict === "missing").length;
    if (missing > 0) throw new Error(`${missing} statements got no verdict`);
    return report({ sets, statements: rows.length, seconds, json });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function report({ sets, statements, seconds, json }) {
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

/** One file of requests in the command's own form, so that only the command is timed; ids are places in `rows`. */
async function writeRequests(folder, sets, requests) {
  const rows = [];
  const out = createWriteStream(requests);
  for (const set of Object.keys(sets)) {
    const file = [join(folder, `${set}.jsonl`), join(folder, `${set}.jsonl.gz`)].find(existsSync);
    if (!file) {
      console.error(`SKIPPED: there is no ${set}.jsonl in PICKET_CORPUS`);
      continue;
    }
    const source = createReadStream(file);
    const input = file.endsWith(".gz") ? source.pipe(createGunzip()) : source;
    for await (const line of createInterface({ input })) {
      if (line === "") continue;
      const { dialect, family, label, session, sql, sql_hex } = JSON.parse(line);
      const row = { dialect, family, label, session, verdict: "missing" };
      const request = {
        id: rows.length,
        dialect,
        ...(sql_hex === undefined ? { sql } : { sql_hex }),
        session,
      };
      rows.push(row);
      sets[set].push(row);
      if (!out.write(`${JSON.stringify(request)}\n`)) await once(out, "drain");
    }
  }
  out.end();
  await finished(out);
  return rows;
}

async function judgeFile(requests, answers) {
  const [from, to] = [openSync(requests, "r"), openSync(answers, "w")];
  const judge = spawn(process.execPath, [picket, "judge"], { stdio: [from, to, "inherit"] });
  const [code] = await once(judge, "close");
  closeSync(from);
  closeSync(to);
  if (code !== 0) throw new Error(`picket judge ended with ${code}`);
  return answers;
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
