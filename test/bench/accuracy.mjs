// How well statements are judged that were never seen: recall of attacks, false positives on benign statements, by
// dialect and family; cold (nothing learned), and learned: half of each benign template's rows are learned first,
// by hash of their id, and the other half and all attacks are scored; templates of one row count only as cold. The
// statements are not in this repository: --corpus DIR or PICKET_CORPUS names a folder with attack.jsonl, benign.jsonl,
// probe.jsonl and modes.jsonl (each may be .gz), a line each of {id, dialect, sql | sql_hex, session?, label, family,
// template}. Apart from them, statements that were made for this repository (test/corpus/accuracy) are always judged;
// rules were developed with half of those. They are judged by the real command, so that the throughput includes reading and writing JSON, and by
// what peers.mjs has at hand.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { accepted } from "../corpus/accuracy/accepted.mjs";
import { attacks, FIRST, HELD_OUT, honest } from "../corpus/accuracy/made.mjs";
import { crs942, flaggedBy, libinjection } from "./peers.mjs";

const picket = fileURLToPath(new URL("../../packages/cli/bin/picket.mjs", import.meta.url));

export async function run({ json = false, corpus } = {}) {
  const folder = corpus ?? process.env.PICKET_CORPUS;
  const scratch = mkdtempSync(join(tmpdir(), "picket-accuracy-"));
  try {
    const made = await ofMade(scratch, FIRST);
    const heldOut = await ofMade(scratch, HELD_OUT);
    if (!json) printMade("made", made);
    if (!json) printMade("held out", heldOut);
    if (!folder) {
      console.error(
        "SKIPPED: accuracy on foreign statements was NOT measured. Name a folder of them: --corpus DIR or PICKET_CORPUS.",
      );
      return { name: "accuracy", skipped: "neither --corpus nor PICKET_CORPUS", made, heldOut };
    }
    const [attack, benign, probe, modes] = ["attack", "benign", "probe", "modes"].map(set =>
      read(folder, set),
    );
    const { learned, scored } = halves(benign);

    const cold = await judged(scratch, [...attack, ...benign, ...probe, ...modes], []);
    const file = join(scratch, "learned.jsonl");
    writeFileSync(file, learned.map(requestLine).join(""));
    const warm = await judged(scratch, [...attack, ...scored], ["--learn", file]);
    const unknown = await judged(
      scratch,
      benign.map(row => ({ ...row, session: "unknown" })),
      [],
    );
    const result = {
      name: "accuracy",
      made,
      heldOut,
      statementsPerSecond: Math.round(cold.rows.length / cold.seconds),
      cold: score(cold, [...attack, ...benign]),
      learned: { learnedStatements: learned.length, ...score(warm, [...attack, ...scored]) },
      sessionUnknown: score(unknown, benign),
      sessions: scoreBy(cold, modes, row => `${row.dialect} ${row.session}`),
      probes: scoreBy(cold, probe, row => (row.family === "inert" ? "inert" : "syntax error")),
      coldByDialect: scoreBy(cold, [...attack, ...benign], ({ dialect }) => dialect),
      learnedByDialect: scoreBy(warm, [...attack, ...scored], ({ dialect }) => dialect),
      coldRecallByFamily: scoreBy(cold, attack, ({ family }) => family),
      learnedRecallByFamily: scoreBy(warm, attack, ({ family }) => family),
      coldFalsePositivesByFamily: scoreBy(cold, benign, ({ family }) => family),
      learnedFalsePositivesByFamily: scoreBy(warm, scored, ({ family }) => family),
      peers: peers([...attack, ...benign]),
    };
    if (!json) print(result);
    return result;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Of the templates with more than one row: what is learned, and what is scored. */
function halves(benign) {
  const sizes = countBy(benign, ({ template }) => template);
  const known = benign.filter(row => sizes.get(row.template) > 1);
  const learns = row => !row.never && isLearned(row);
  return { learned: known.filter(learns), scored: known.filter(row => !learns(row)) };
}

/** By half: with the statements of "development" rules were developed, those of "final" were only counted. */
async function ofMade(scratch, set) {
  const attack = await accepted(attacks(set));
  const benign = await accepted(honest(set));
  const { learned, scored } = halves(benign);
  const file = join(scratch, "made.jsonl");
  writeFileSync(file, learned.map(requestLine).join(""));
  const cold = await judged(scratch, [...attack, ...benign], []);
  const warm = await judged(scratch, [...attack, ...scored], ["--learn", file]);
  const byHalf = (judgement, rows) =>
    Object.fromEntries(
      ["development", "final"].map(half => [
        half,
        score(
          judgement,
          rows.filter(row => row.half === half),
        ),
      ]),
    );
  return {
    cold: byHalf(cold, [...attack, ...benign]),
    learned: byHalf(warm, [...attack, ...scored]),
    idioms: byHalf(
      cold,
      benign.filter(({ family }) => family === "own-idioms"),
    ),
    grown: byHalf(
      warm,
      benign.filter(({ never }) => never),
    ),
  };
}

function printMade(set, { cold, learned, idioms, grown }) {
  for (const half of ["development", "final"]) {
    line(`${set}, ${half}: cold`, cold[half]);
    line(`${set}, ${half}: learned`, learned[half]);
    line(`${set}, ${half}: idioms of tools, cold`, idioms[half]);
    if (grown[half].others > 0) line(`${set}, ${half}: the next release, learned`, grown[half]);
  }
}

function read(folder, set) {
  const file = [join(folder, `${set}.jsonl`), join(folder, `${set}.jsonl.gz`)].find(existsSync);
  if (!file) {
    console.error(`SKIPPED: there is no ${set}.jsonl in ${folder}`);
    return [];
  }
  const bytes = readFileSync(file);
  return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes)
    .toString("utf8")
    .split("\n")
    .filter(line => line !== "")
    .map(line => JSON.parse(line));
}

const isLearned = ({ id }) => (createHash("sha256").update(String(id)).digest()[0] & 1) === 1;

const requestLine = ({ id, dialect, sql, sql_hex, session }) =>
  `${JSON.stringify({ id, dialect, ...(sql_hex === undefined ? { sql } : { sql_hex }), session })}\n`;

/** One file of requests in the command's own form, so that only the command is timed. */
async function judged(scratch, rows, options) {
  const [requests, answers] = [join(scratch, "requests.jsonl"), join(scratch, "answers.jsonl")];
  writeFileSync(requests, rows.map(requestLine).join(""));
  const [from, to] = [openSync(requests, "r"), openSync(answers, "w")];
  const started = process.hrtime.bigint();
  const child = spawn(process.execPath, [picket, "judge", ...options], { stdio: [from, to, "inherit"] });
  const [code] = await once(child, "close");
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  closeSync(from);
  closeSync(to);
  if (code !== 0) throw new Error(`picket judge ended with ${code}`);
  const verdicts = new Map();
  for await (const line of createInterface({ input: createReadStream(answers) })) {
    const { id, verdict } = JSON.parse(line);
    verdicts.set(id, verdict);
  }
  if (verdicts.size !== rows.length)
    throw new Error(`${rows.length - verdicts.size} statements got no verdict`);
  return { rows, seconds, flagged: ({ id }) => verdicts.get(id) === "attack" };
}

function peers(rows) {
  const texts = rows.map(({ sql, sql_hex }) => sql ?? Buffer.from(sql_hex, "hex").toString("utf8"));
  const places = new Map(rows.map((row, i) => [row.id, i]));
  const scoreOf = flagged => score({ flagged: ({ id }) => flagged[places.get(id)] }, rows);
  const result = {};
  const theirs = libinjection(texts);
  if (!theirs)
    console.error("SKIPPED: libinjection was NOT measured. Set PICKET_LIBINJECTION to its shared library.");
  else result.libinjection = scoreOf(theirs.flagged);
  for (const paranoia of [1, 2]) {
    const crs = crs942(paranoia);
    if (!crs) {
      console.error("SKIPPED: the Core Rule Set was NOT measured. Set PICKET_CRS942 to its file 942.");
      break;
    }
    const flagged = texts.map(text => flaggedBy(crs, text));
    const name = `CRS 942, paranoia ${paranoia}`;
    result[name] = { expressions: crs.expressions.length, unreadable: crs.unreadable, ...scoreOf(flagged) };
    if (theirs)
      result[`libinjection or ${name}`] = scoreOf(flagged.map((one, i) => one || theirs.flagged[i]));
  }
  return result;
}

function score({ flagged }, rows) {
  const attacks = rows.filter(row => row.label === "attack");
  const others = rows.filter(row => row.label !== "attack");
  const caught = attacks.filter(flagged).length;
  const wrong = others.filter(flagged).length;
  const [recall, precision] = [caught / attacks.length, caught / (caught + wrong)];
  const percent = value => (Number.isNaN(value) ? null : round(100 * value));
  return {
    attacks: attacks.length,
    missed: attacks.length - caught,
    recallPercent: percent(recall),
    others: others.length,
    falsePositives: wrong,
    falsePositivePercent: percent(wrong / others.length),
    /** The rate is below this with 95 % confidence (Wilson's upper bound). */
    falsePositivePercentAtMost: others.length === 0 ? null : percent(upperBound(wrong, others.length)),
    precisionPercent: attacks.length === 0 ? null : percent(precision),
    f1Percent: attacks.length === 0 ? null : percent((2 * precision * recall) / (precision + recall)),
  };
}

/** Wilson score interval, one-sided 95 %. */
function upperBound(hits, count) {
  const z = 1.645;
  const share = hits / count;
  const spread = z * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return (share + (z * z) / (2 * count) + spread) / (1 + (z * z) / count);
}

function scoreBy(judgement, rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return Object.fromEntries([...groups].sort().map(([key, group]) => [key, score(judgement, group)]));
}

function countBy(rows, keyOf) {
  const counts = new Map();
  for (const row of rows) counts.set(keyOf(row), (counts.get(keyOf(row)) ?? 0) + 1);
  return counts;
}

const round = value => Math.round(value * 1_000) / 1_000;

function print(result) {
  console.log(`${result.statementsPerSecond} statements a second through \`picket judge\`, JSON included`);
  line("cold", result.cold);
  line(`learned (${result.learned.learnedStatements} statements)`, result.learned);
  line("benign, session unknown", result.sessionUnknown);
  console.log("on the same statements, cold");
  for (const [name, scored] of Object.entries(result.peers)) line(name, scored);
  for (const [title, group] of [
    ["where the session decides how a statement reads", result.sessions],
    ["probes (never counted above)", result.probes],
    ["by dialect, cold", result.coldByDialect],
    ["by dialect, learned", result.learnedByDialect],
    ["recall by family of attack, cold", result.coldRecallByFamily],
    ["recall by family of attack, learned", result.learnedRecallByFamily],
    ["false positives by family, cold", result.coldFalsePositivesByFamily],
    ["false positives by family, learned", result.learnedFalsePositivesByFamily],
  ]) {
    console.log(title);
    for (const [name, scored] of Object.entries(group)) line(name, scored);
  }
}

function line(name, scored) {
  const { attacks, recallPercent, others, falsePositives, falsePositivePercent } = scored;
  const { falsePositivePercentAtMost, precisionPercent, f1Percent } = scored;
  const parts = [`  ${name.padEnd(44)}`];
  parts.push(
    attacks
      ? `recall ${recallPercent.toFixed(2).padStart(6)} % of ${String(attacks).padStart(5)}`
      : " ".repeat(24),
  );
  if (others)
    parts.push(
      `flagged ${falsePositivePercent.toFixed(3).padStart(6)} % of ${String(others).padStart(5)} (${falsePositives}; 95 %: below ${falsePositivePercentAtMost.toFixed(3)} %)`,
    );
  if (attacks && others)
    parts.push(`precision ${precisionPercent?.toFixed(2)} %, F1 ${f1Percent?.toFixed(2)} %`);
  console.log(parts.join("   "));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const json = process.argv.includes("--json");
  const at = process.argv.indexOf("--corpus");
  const result = await run({ json, ...(at > 0 ? { corpus: process.argv[at + 1] } : {}) });
  if (json) console.log(JSON.stringify(result));
}
