/**
 * What `picket judge` does. Lines are judged as they come and written as fast as the reader takes them; memory
 * does not grow with the input.
 */
import { createReadStream, readFileSync } from "node:fs";
import { Escalation } from "@picket/judge/ast/escalation";
import { type CompiledRuleSet, compileRuleSet } from "@picket/judge/compile";
import { createProfile, type Profile } from "@picket/judge/drift/profile";
import { type Judgement, judge, judgeBatch } from "@picket/judge/judge";
import { learn } from "@picket/judge/learn";
import { formatRuleErrors } from "@picket/judge/rule-error";
import { parseSession } from "@picket/judge/session";
import { stageRuleMeaning } from "@picket/judge/stage-rules";
import { Dialect } from "@picket/shared/vocabulary";
import type { JudgeOptions } from "./commands/judge.ts";
import type { Context } from "./context.ts";
import { CliError, usage } from "./errors.ts";
import { type LineError, readRequest } from "./judge-line.ts";
import { lines } from "./lines.ts";
import { facts, harmless, type Output } from "./output.ts";

/** The longest line: a 64 MiB statement in hex. Longer ones are refused, not gathered. */
const LINE_BYTES_MAX = 130 * 1024 * 1024;

const CORE_ONLY = "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: core-only }\nspec: {}\n";

export async function judgeArguments(context: Context, options: JudgeOptions, sql?: string): Promise<void> {
  const compiled = compiledRules(context, options.rules);
  const profile = options.learn === undefined ? undefined : await learned(compiled, options.learn);
  if (sql !== undefined) return judgeOne(context, compiled, profile, options, sql);
  if (process.stdin.isTTY) throw usage("no statement", "give one as an argument, or JSONL on standard input");
  if (options.dialect || options.session)
    throw usage("--dialect and --session are for a single statement", "each input line has its own");
  await judgeLines(compiled, profile);
}

/** The file is vouched for by whoever gives it: what it holds is honest, also where a rule finds it odd. */
export async function learned(compiled: CompiledRuleSet, file: string): Promise<Profile> {
  const profile = createProfile({ workload: "command line", databaseUser: "", database: "" });
  try {
    for await (const batch of lines(createReadStream(file), LINE_BYTES_MAX))
      for (const line of batch) {
        const request = readRequest(line);
        if (!request.ok) throw malformed(file, request.error);
        learn(compiled, profile, request.value.statement, { atMs: 0, vouched: true });
      }
    profile.mode = "enforce";
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("not-found", "no-file", `cannot read ${file}: ${(error as Error).message}`);
  }
  return profile;
}

const malformed = (file: string, { line, error }: LineError): CliError =>
  new CliError("failed", "malformed-lines", `${file}, line ${line}: ${error}`, "nothing was judged");

export function compiledRules({ output }: Context, file: string | undefined): CompiledRuleSet {
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
    `${file ?? "the core pack"} does not compile`,
    null,
    output.json ? compiled.error : formatRuleErrors(file ?? "core", compiled.error),
  );
}

async function judgeOne(
  { output }: Context,
  compiled: CompiledRuleSet,
  profile: Profile | undefined,
  options: JudgeOptions,
  sql: string,
): Promise<void> {
  const dialect = options.dialect === undefined ? null : Dialect.safeParse(options.dialect);
  if (dialect && !dialect.success) throw usage(`"${options.dialect}" is not a dialect`, "write mysql or pg");
  const dialects: Dialect[] = dialect ? [dialect.data] : ["mysql", "pg"];
  const statements = dialects.map(dialect => {
    const session = parseSession(dialect, options.session);
    if (!session.ok) throw usage(session.error);
    return { sql, dialect, session: session.value };
  });
  const cold = statements.map(statement => judge(compiled, statement, profile ? { profile } : {}));
  const judged = await new Escalation().escalateAll(cold, statements);
  const judgements = judged.map((one, i) => ({ ...one, dialect: dialects[i]! }));
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
    return [`  ${id}`, rule ? `${rule.title}: ${rule.reason}` : (stageRuleMeaning(id) ?? "")] as const;
  });
  return facts(output, [
    [
      "Verdict",
      `${output.paint(style[one.verdict], one.verdict)} as ${one.dialect === "pg" ? "PostgreSQL" : "MySQL"}, action ${one.action}`,
    ],
    ["Stage", one.stage],
    ...(one.rules.length > 0 ? [["Rules", ""] as const, ...reasons] : []),
    ["Shape", harmless(one.redacted.trim())],
    ["Fingerprint", one.shapeSha256 ?? "none: never known"],
    ...(one.danger.length > 0 ? [["Danger", one.danger.join(", ")] as const] : []),
  ]);
}

async function judgeLines(compiled: CompiledRuleSet, profile: Profile | undefined): Promise<void> {
  const escalation = new Escalation();
  let unreadable = 0;
  for await (const batch of lines(process.stdin, LINE_BYTES_MAX)) {
    const requests = batch.map(readRequest);
    const statements = requests.flatMap(request => (request.ok ? [request.value.statement] : []));
    const judgements = await escalation.escalateAll(
      judgeBatch(compiled, statements, { profile }),
      statements,
    );
    let next = 0;
    let text = "";
    for (const request of requests) {
      if (!request.ok) {
        unreadable += 1;
        text += `${JSON.stringify(request.error)}\n`;
        continue;
      }
      const { verdict, rules, shapeSha256, stage } = judgements[next++]!;
      text += `${JSON.stringify({ id: request.value.id, verdict, rules, fingerprint: shapeSha256, stage })}\n`;
    }
    if (!process.stdout.write(text))
      await new Promise<void>(resolve => process.stdout.once("drain", resolve));
  }
  if (unreadable > 0)
    throw new CliError(
      "failed",
      "malformed-lines",
      `${unreadable} line${unreadable === 1 ? "" : "s"} could not be read`,
      "each has an error line with its number in the output",
    );
}
