/**
 * The judge as a library, on one core and one thread besides the parser's: statements a second whose shape is known
 * (lexer, fingerprint, verdict), new shapes a second through every stage, the command's rate on the same statements,
 * and what libinjection (on the literals, as its users call it), the Core Rule Set's regular expressions (on the whole
 * statement) and a parser asked about every statement need for them. The statements are made here: ordinary queries
 * of unlike shapes, one in five of which holds what makes the judge ask the parser, one in fifty an injection.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { analyse, loadParser } from "@picket/judge/ast/analyse";
import { Escalation, isGrey } from "@picket/judge/ast/escalation";
import { compileRuleSet } from "@picket/judge/compile";
import { judgeBatch } from "@picket/judge/judge";
import { defaultSession } from "@picket/judge/session";
import { judgeBatch as lexBatch, randomHashKey, tokenize } from "@picket/native/lexer";
import { crs942, flaggedBy, libinjection } from "./peers.mjs";

const COUNT = 10_000;
const ROUNDS = 5;
const TARGET_WARM = 1_000_000;
const TARGET_COLD = 20_000;
const picket = fileURLToPath(new URL("../../packages/cli/bin/picket.mjs", import.meta.url));
const CORE_ONLY = "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: core-only }\nspec: {}\n";

/** Shape i: the numbers are in names, so no two are alike. */
function sqlOf(i, round) {
  const [a, b, t] = [`c${i}`, `d${i % 97}_${round}`, `t${i % 41}`];
  switch (i % 10) {
    case 0:
      return `SELECT id, ${a}, ${b} FROM ${t} WHERE ${a} = 'value ${i}' AND tenant_id = ${i} ORDER BY ${b} DESC LIMIT 20`;
    case 1:
      return `INSERT INTO ${t} (id, ${a}, ${b}) VALUES (${i}, 'it''s a text of some length', now())`;
    case 2:
      return `UPDATE ${t} SET ${a} = 'x', ${b} = ${b} + 1 WHERE id = ${i} AND deleted_at IS NULL`;
    case 3:
      return `SELECT x.${a}, count(*) FROM ${t} x JOIN u ON u.id = x.${b} WHERE u.kind IN ('a', 'b', 'c') GROUP BY x.${a}`;
    case 4:
      return `DELETE FROM ${t} WHERE ${a} < ${i} AND ${b} = 'expired session'`;
    case 5:
      return `SELECT ${a} FROM ${t} WHERE ${b} LIKE '%search term%' AND status = 'open' LIMIT 50`;
    case 6:
      return `SELECT ${a} FROM ${t} WHERE (${b} = ${i} OR owner = 'somebody') AND visible = 1 ORDER BY ${a}`;
    case 7:
      return `SELECT ${a} FROM ${t} WHERE ${b} IN (SELECT id FROM u WHERE kind = 'x' OR kind = 'y') AND z = ${i}`;
    case 8:
      return `SELECT ${a}, ${b} FROM ${t} WHERE id = ${i}`;
    default:
      return i % 50 === 9
        ? `SELECT ${a} FROM ${t} WHERE ${b} = 'x' OR 'a' = 'a' -- ' AND visible = 1`
        : `SELECT ${a} FROM ${t} WHERE ${b} BETWEEN '2026-01-01' AND '2026-02-01' AND region = 'north'`;
  }
}

const statementsOf = (dialect, round) =>
  Array.from({ length: COUNT }, (_, i) => ({
    sql: Buffer.from(sqlOf(i, round)),
    dialect,
    session: defaultSession(dialect),
  }));

const median = values => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Processor time of all threads, so that neighbours on the machine do not count; the parser's thread does. */
const clock = () => process.cpuUsage();
function seconds(started) {
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1e6;
}

export async function run({ json = false } = {}) {
  const compiled = compileRuleSet(CORE_ONLY);
  if (!compiled.ok) throw new Error("the core rules do not compile");
  const escalation = new Escalation({ timeoutMs: 60_000 });
  const dialects = ["mysql", "pg"];
  // The parsers are loaded before the clock runs, as in an agent that has judged before.
  for (const dialect of dialects) {
    const first = [{ sql: "SELECT warm FROM up WHERE a = 1 OR b = 2", dialect, session: 0 }];
    await escalation.escalateAll(judgeBatch(compiled.value, first), first);
  }

  const rates = { warm: [], cold: [], coldWithoutParser: [] };
  let grey = 0;
  for (let round = 0; round < ROUNDS; round++)
    for (const dialect of dialects) {
      const statements = statementsOf(dialect, round);
      rates.warm.push(warm(statements, dialect));
      const started = clock();
      const judged = judgeBatch(compiled.value, statements);
      rates.coldWithoutParser.push(COUNT / seconds(started));
      await escalation.escalateAll(judged, statements);
      rates.cold.push(COUNT / seconds(started));
      grey = judged.filter(isGrey).length / COUNT;
    }
  await escalation.close();

  const all = dialects.flatMap(dialect => statementsOf(dialect, ROUNDS));
  const perSecond = Object.fromEntries(
    Object.entries(rates).map(([name, values]) => [name, Math.round(median(values))]),
  );
  const result = {
    name: "judge",
    bytes: Math.round(all.reduce((sum, { sql }) => sum + sql.length, 0) / all.length),
    perSecond,
    greyPercent: Math.round(grey * 1_000) / 10,
    targets: { warm: TARGET_WARM, cold: TARGET_COLD },
    met: { warm: perSecond.warm >= TARGET_WARM, cold: perSecond.cold >= TARGET_COLD },
    command: command(all),
    peers: await peers(all),
  };
  if (!json) print(result);
  return result;
}

/** One native call for all, then each fingerprint's verdict. */
function warm(statements, dialect) {
  const offsets = new Uint32Array(statements.length + 1);
  for (const [i, { sql }] of statements.entries()) offsets[i + 1] = offsets[i] + sql.length;
  const bytes = Buffer.concat(statements.map(({ sql }) => sql));
  const options = { dialect, session: defaultSession(dialect), key: randomHashKey() };
  const verdicts = new Map();
  for (const fingerprint of lexBatch(bytes, offsets, options).fingerprints)
    verdicts.set(fingerprint, "benign");
  const started = clock();
  let benign = 0;
  for (const fingerprint of lexBatch(bytes, offsets, options).fingerprints)
    if (verdicts.get(fingerprint) === "benign") benign++;
  const rate = statements.length / seconds(started);
  if (benign !== statements.length) throw new Error("a shape was not known");
  return rate;
}

function command(statements) {
  const input = statements
    .map(({ sql, dialect }, id) => `${JSON.stringify({ id, dialect, sql: sql.toString() })}\n`)
    .join("");
  const started = performance.now();
  const ran = spawnSync(process.execPath, [picket, "judge"], { input, maxBuffer: 1 << 28 });
  if (ran.status !== 0) throw new Error(String(ran.stderr));
  return Math.round(statements.length / ((performance.now() - started) / 1e3));
}

async function peers(statements) {
  const rates = {};
  const literals = statements.map(({ sql, dialect }) =>
    tokenize(sql, { dialect })
      .filter(({ kind }) => kind === "literal")
      .map(({ text }) => text),
  );
  const theirs = libinjection(literals.flat());
  if (!theirs)
    console.error("SKIPPED: libinjection was NOT measured. Set PICKET_LIBINJECTION to its shared library.");
  else rates["libinjection, on the literals"] = Math.round(statements.length / (theirs.ns / 1e9));
  for (const paranoia of [1, 2]) {
    const crs = crs942(paranoia);
    if (!crs) {
      console.error("SKIPPED: the Core Rule Set was NOT measured. Set PICKET_CRS942 to its file 942.");
      break;
    }
    const texts = statements.map(({ sql }) => sql.toString());
    const started = clock();
    for (const text of texts) flaggedBy(crs, text);
    rates[`CRS 942, paranoia ${paranoia}, on the statement`] = Math.round(texts.length / seconds(started));
  }
  for (const dialect of ["mysql", "pg"]) {
    const parse = await loadParser(dialect);
    const texts = statements.filter(one => one.dialect === dialect).map(({ sql }) => sql.toString());
    const started = clock();
    for (const text of texts) analyse(parse, text, dialect);
    rates[`a parser for every statement, ${dialect}`] = Math.round(texts.length / seconds(started));
  }
  return rates;
}

function print({ bytes, perSecond, greyPercent, met, command: rate, peers: theirs }) {
  const row = (name, value, note = "") =>
    console.log(`  ${name.padEnd(44)} ${String(value).padStart(9)}/s ${note}`);
  console.log(
    `statements of ${bytes} bytes, ${greyPercent} % of them grey, median of ${ROUNDS} rounds and 2 dialects`,
  );
  row(
    "known shape: lexer, fingerprint, verdict",
    perSecond.warm,
    `target ${TARGET_WARM}: ${met.warm ? "met" : "MISSED"}`,
  );
  row("new shape, all stages", perSecond.cold, `target ${TARGET_COLD}: ${met.cold ? "met" : "MISSED"}`);
  row("new shape, without the parser", perSecond.coldWithoutParser);
  row("picket judge, JSON and start included", rate);
  for (const [name, value] of Object.entries(theirs)) row(name, value);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const json = process.argv.includes("--json");
  const result = await run({ json });
  if (json) console.log(JSON.stringify(result));
}
