/**
 * Judges statements without any server: one given as an argument, or JSONL on standard input. Lines are judged
 * as they come and written as fast as the reader takes them; memory does not grow with the input.
 */
import { readFileSync } from "node:fs";
import { formatRuleErrors } from "@picket/judge/check";
import { type CompiledRuleSet, compileRuleSet } from "@picket/judge/compile";
import { type Judgement, judge, judgeBatch } from "@picket/judge/judge";
import { parseSession } from "@picket/judge/session";
import { Dialect } from "@picket/shared/vocabulary";
import type { Command } from "commander";
import { leaf } from "../command.ts";
import type { Context } from "../context.ts";
import { CliError, usage } from "../errors.ts";
import { readRequest } from "../judge-line.ts";
import { lines } from "../lines.ts";
import { facts, type Output } from "../output.ts";
import type { Surroundings } from "../program.ts";

/** The longest line: a 64 MiB statement in hex. Longer ones are refused, not gathered. */
const LINE_BYTES_MAX = 130 * 1024 * 1024;

const CORE_ONLY = "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: core-only }\nspec: {}\n";

type Options = { dialect?: string; session?: string; rules?: string };

export function judgeCommand(program: Command, surroundings: Surroundings): void {
  leaf(program, surroundings, {
    name: "judge [sql]",
    description: "judge one statement, or JSONL on standard input; needs no server",
    talks: "nobody",
    build: command =>
      command
        .option("--dialect <mysql|pg>", "how to read the statement; without it both are tried")
        .option(
          "--session <sql>",
          'what the session has set, for example "SET NAMES gbk"; unknown without it',
        )
        .option("--rules <file>", "rule file; without it the core rules")
        .addHelpText(
          "after",
          `
Input lines   {"id", "dialect": "mysql"|"pg", "sql" or "sql_hex", "session"?}
Output lines  {"id", "verdict": "benign"|"attack"|"probe", "rules", "fingerprint", "stage"}
              {"id"?, "line", "error"} for a line that cannot be read; the exit code is then 1.
A single statement ends with exit code 0 when benign, else 1.`,
        ),
    async run(context, options: Options, sql?: string) {
      const compiled = compiledRules(context, options.rules);
      if (sql !== undefined) return judgeOne(context, compiled, options, sql);
      if (process.stdin.isTTY)
        throw usage("no statement", "give one as an argument, or JSONL on standard input");
      if (options.dialect || options.session)
        throw usage("--dialect and --session are for a single statement", "each input line has its own");
      await judgeLines(compiled);
    },
  });
}

function compiledRules({ output }: Context, file: string | undefined): CompiledRuleSet {
  let text = CORE_ONLY;
  if (file !== undefined)
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      throw new CliError("not-found", "no-file", `cannot read ${file}: ${(error as Error).message}`);
    }
  const compiled = compileRuleSet(text);
  if (compiled.ok) return compiled.value;
  throw new CliError(
    "failed",
    "rules-invalid",
    `${file} does not compile`,
    null,
    output.json ? compiled.error : formatRuleErrors(file ?? "core", compiled.error),
  );
}

function judgeOne({ output }: Context, compiled: CompiledRuleSet, options: Options, sql: string): void {
  const dialect = options.dialect === undefined ? null : Dialect.safeParse(options.dialect);
  if (dialect && !dialect.success) throw usage(`"${options.dialect}" is not a dialect`, "write mysql or pg");
  const dialects: Dialect[] = dialect ? [dialect.data] : ["mysql", "pg"];
  const judgements = dialects.map(dialect => {
    const session = parseSession(dialect, options.session);
    if (!session.ok) throw usage(session.error);
    return { dialect, ...judge(compiled, { sql, dialect, session: session.value }) };
  });
  output.result(judgements.length === 1 ? printable(judgements[0]!) : judgements.map(printable), () =>
    judgements.map(one => explain(output, compiled, one)).join("\n\n"),
  );
  if (judgements.some(({ verdict }) => verdict !== "benign")) process.exitCode = 1;
}

type Named = Judgement & { dialect: Dialect };

const printable = ({ dialect, verdict, action, rules, shapeSha256, danger, stage, redacted }: Named) => ({
  dialect,
  verdict,
  action,
  rules,
  fingerprint: shapeSha256,
  stage,
  danger,
  redacted,
});

function explain(output: Output, compiled: CompiledRuleSet, one: Named): string {
  const style = { benign: "green", attack: "red", probe: "yellow" } as const;
  const reasons = one.rules.map(id => {
    const rule = compiled.byId.get(id);
    return [`  ${id}`, rule ? `${rule.title}: ${rule.reason}` : ""] as const;
  });
  return facts(output, [
    [
      "Verdict",
      `${output.paint(style[one.verdict], one.verdict)} as ${one.dialect === "pg" ? "PostgreSQL" : "MySQL"}, action ${one.action}`,
    ],
    ["Stage", one.stage],
    ...(one.rules.length > 0 ? [["Rules", ""] as const, ...reasons] : []),
    ["Shape", one.redacted],
    ["Fingerprint", one.shapeSha256 ?? "none: never known"],
    ...(one.danger.length > 0 ? [["Danger", one.danger.join(", ")] as const] : []),
  ]);
}

async function judgeLines(compiled: CompiledRuleSet): Promise<void> {
  let malformed = 0;
  for await (const batch of lines(process.stdin, LINE_BYTES_MAX)) {
    const requests = batch.map(readRequest);
    const judgements = judgeBatch(
      compiled,
      requests.flatMap(request => (request.ok ? [request.value.statement] : [])),
    );
    let next = 0;
    let text = "";
    for (const request of requests) {
      if (!request.ok) {
        malformed += 1;
        text += `${JSON.stringify(request.error)}\n`;
        continue;
      }
      const { verdict, rules, shapeSha256, stage } = judgements[next++]!;
      text += `${JSON.stringify({ id: request.value.id, verdict, rules, fingerprint: shapeSha256, stage })}\n`;
    }
    if (!process.stdout.write(text))
      await new Promise<void>(resolve => process.stdout.once("drain", resolve));
  }
  if (malformed > 0)
    throw new CliError(
      "failed",
      "malformed-lines",
      `${malformed} line${malformed === 1 ? "" : "s"} could not be read`,
      "each has an error line with its number in the output",
    );
}
