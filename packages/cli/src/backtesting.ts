/** What `picket rules backtest` does: rules over what the fleet has sent, or over a file of statements. */
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createBacktest, type Replayed } from "@picket/judge/backtest";
import type { Statement } from "@picket/judge/judge";
import { shapeKey } from "@picket/judge/replay";
import { UNKNOWN_SESSION } from "@picket/judge/session";
import {
  Backtest,
  BacktestDetails,
  type BacktestExample,
  type BacktestReport,
  type BacktestRequest,
  backtestSummary,
} from "@picket/shared/backtest";
import { RuleSetName, RuleVersion } from "@picket/shared/ids";
import { parseVersioned } from "./command.ts";
import type { Context } from "./context.ts";
import { CliError, usage } from "./errors.ts";
import { readRequest } from "./judge-line.ts";
import { compiledRules } from "./judging.ts";
import { lines } from "./lines.ts";
import { type Output, table } from "./output.ts";

export type BacktestOptions = { against?: string; baseline?: string };

const LINE_BYTES_MAX = 64 * 1024 * 1024;
/** Further ones count as a shape each. */
const SHAPES_MAX = 200_000;

export async function backtest(
  context: Context,
  { against, baseline }: BacktestOptions,
  rules: string,
): Promise<void> {
  if (against !== undefined) return overFile(context, rules, against, baseline);
  if (baseline !== undefined)
    throw usage("--baseline goes with --against", "the fleet's backtest compares with the stable version");
  return overFleet(context, rules);
}

const POLL_MS = 500;

/** The control plane replays what the nodes have reported; this only waits. */
async function overFleet({ client, output }: Context, rules: string): Promise<void> {
  const path = "/v1/backtests";
  const started = await client().request({ method: "POST", path, body: subjectOf(rules), answer: Backtest });
  output.note(`Backtest ${started.id} of ${started.ruleSet} is queued.`);
  for (;;) {
    const row = await client().request({ path: `${path}/${started.id}`, answer: BacktestDetails });
    if (row.state === "failed")
      throw new CliError(
        "failed",
        "backtest-failed",
        "the backtest failed",
        null,
        row.error ?? "no reason is known",
      );
    if (row.report) {
      const { report, baseline } = row;
      return output.result(row, () =>
        [
          page(output, report),
          "",
          baseline === null
            ? `No version of ${row.ruleSet} is stable yet, so there is nothing to compare with.`
            : `Compared with ${row.ruleSet}@${baseline}.`,
        ].join("\n"),
      );
    }
    await sleep(POLL_MS);
  }
}

function subjectOf(rules: string): BacktestRequest {
  if (existsSync(rules)) return { ruleText: readFileSync(rules, "utf8") };
  if (/[./]/.test(rules)) throw new CliError("not-found", "no-file", `there is no file ${rules}`);
  const { name, version } = parseVersioned(rules);
  if (version === null) throw usage(`${name} has no version`, `write a file, or ${name}@3`);
  return { ruleSet: RuleSetName.parse(name), version: RuleVersion.parse(version) };
}

async function overFile(context: Context, file: string, against: string, baseline: string | undefined) {
  const run = createBacktest({
    candidate: compiledRules(context, file),
    baseline:
      baseline === undefined ? null : compiledRules(context, baseline === "core" ? undefined : baseline),
  });
  /** One of each shape, however often it stands in the file. */
  const shapes = new Map<string, Replayed>();
  let malformed = 0;
  for await (const batch of lines(open(against), LINE_BYTES_MAX))
    for (const line of batch) {
      const request = readRequest(line);
      if (!request.ok) {
        malformed += 1;
        if (malformed <= 3) context.output.note(`${against}:${request.error.line}: ${request.error.error}`);
        continue;
      }
      const { statement, count } = request.value;
      const key = shapeKey(statement);
      const seen = shapes.get(key);
      if (seen) seen.statements += count;
      else if (shapes.size >= SHAPES_MAX) run.feed(replayed(key, statement, count));
      else shapes.set(key, replayed(key, statement, count));
    }
  for (const shape of shapes.values()) run.feed(shape);
  const report = run.report();
  context.output.result({ ...report, malformed }, () => page(context.output, report));
  if (malformed > 0)
    throw new CliError(
      "failed",
      "malformed-lines",
      `${malformed} line${malformed === 1 ? "" : "s"} of ${against} could not be read and ${malformed === 1 ? "is" : "are"} in no figure`,
    );
}

const replayed = (
  key: string,
  { sql, dialect, session = UNKNOWN_SESSION, context = {} }: Statement,
  statements: number,
): Replayed => ({
  key,
  spellings: [sql],
  dialect,
  session,
  statements,
  context,
  isNew: false,
  nodes: 0,
  workloads: [],
});

async function* open(file: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(file) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new CliError("not-found", "no-file", `cannot read ${file}: ${(error as Error).message}`);
  }
}

const EXAMPLES_SHOWN = 10;

export function page(output: Output, report: BacktestReport): string {
  const { changes, examples, newShapes, byRule } = report;
  const parts = [output.paint("bold", backtestSummary(report))];
  const part = (title: string, list: readonly BacktestExample[], of: { shapes: number }) => {
    if (of.shapes === 0) return;
    const shown = list.slice(0, EXAMPLES_SHOWN);
    const more = of.shapes - shown.length;
    parts.push(
      "",
      `${title}${more > 0 ? ` (${shown.length} of ${of.shapes})` : ""}`,
      examplesTable(output, shown),
    );
  };
  if (byRule.length > 0)
    parts.push(
      "",
      table(output, byRule.slice(0, EXAMPLES_SHOWN), [
        { title: "RULE", value: row => row.rule },
        { title: "SHAPES", value: row => String(row.shapes), align: "right" },
        { title: "STATEMENTS", value: row => String(row.statements), align: "right" },
      ]),
    );
  if (changes) {
    part("Newly blocked", changes.newlyBlocked.examples, changes.newlyBlocked);
    part("Newly alerted on", changes.newlyAlerted.examples, changes.newlyAlerted);
    part("No longer blocked", changes.noLongerBlocked.examples, changes.noLongerBlocked);
  } else {
    part("Blocked", examples.block, report.outcomes.block);
    part("Alerted on", examples.alert, report.outcomes.alert);
  }
  part("New shapes", newShapes.examples, newShapes);
  return parts.join("\n");
}

const examplesTable = (output: Output, examples: readonly BacktestExample[]): string =>
  table(output, examples, [
    { title: "STATEMENTS", value: row => String(row.statements), align: "right" },
    { title: "AS", value: row => row.dialect },
    { title: "RULES", value: row => row.rules.slice(0, 3).join(", ") || "-" },
    { title: "WHERE", value: row => row.workloads.slice(0, 2).join(", ") || "-" },
    { title: "STATEMENT", value: row => row.sql.trim(), flexible: true },
  ]);
