/** What `picket rules check` does: each file by itself, then what those that run on one node disagree about. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type CompiledRuleSet, compileRuleSet } from "@picket/judge/compile";
import { conflictsOf } from "@picket/judge/conflicts";
import { formatRuleErrors, type RuleError } from "@picket/judge/rule-error";
import { RuleSetSummary, RuleVersionDetails } from "@picket/shared/api";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { readText } from "./files.ts";

export type CheckOptions = { fleet?: boolean };

type Checked = { file: string; ok: boolean; rules: number; shapes: number; errors: RuleError[] };

export async function check(context: Context, { fleet }: CheckOptions, paths: string[]): Promise<void> {
  const { output } = context;
  const ruleSets: CompiledRuleSet[] = [];
  const checked: Checked[] = paths.flatMap(ruleFiles).map(file => {
    const compiled = compileRuleSet(readText(file));
    if (!compiled.ok) return { file, ok: false, rules: 0, shapes: 0, errors: compiled.error };
    ruleSets.push(compiled.value);
    const { rules, shapes } = compiled.value;
    return { file, ok: true, rules: rules.length, shapes: shapes.length, errors: [] };
  });
  const own = new Set(ruleSets.map(({ name }) => name));
  const others = fleet ? await othersOfFleet(context, own) : [];
  // What the others disagree about among themselves is not these files' matter.
  const conflicts = conflictsOf([...ruleSets, ...others]).filter(conflict =>
    conflict.ruleSets.some(name => own.has(name)),
  );
  output.result({ files: checked, conflicts }, () =>
    [
      ...checked.map(({ file, ok, rules, shapes, errors }) =>
        ok
          ? `${output.paint("green", "ok")}  ${file}: ${counted(rules, "rule")}, ${counted(shapes, "shape")}`
          : formatRuleErrors(file, errors),
      ),
      ...conflicts.map(({ ruleSets: [first, second], about, outcome, decided }) => {
        const word = decided ? output.paint("dim", "note") : output.paint("yellow", "conflict");
        return `${word}  ${first} and ${second}: ${about}\n      ${outcome}`;
      }),
    ].join("\n"),
  );
  const wrong = checked.filter(({ ok }) => !ok);
  const open = conflicts.filter(({ decided }) => !decided).length;
  if (wrong.length > 0) {
    const errors = wrong.reduce((sum, one) => sum + one.errors.length, 0);
    const files = wrong.map(({ file }) => file).join(", ");
    throw new CliError("failed", "rules-invalid", `${counted(errors, "error")} in ${files}`);
  }
  if (open > 0)
    throw new CliError(
      "failed",
      "rules-conflict",
      `${counted(open, "conflict")} on a node that runs all of them`,
      "give the one that is to decide a higher metadata.precedence, or change one of them",
    );
}

/** What nodes run of every other rule set: the stable version, or the newest where none is stable yet. */
async function othersOfFleet({ client }: Context, own: ReadonlySet<string>): Promise<CompiledRuleSet[]> {
  const api = client();
  const sets = await api.list({ path: "/v1/rule-sets", item: RuleSetSummary });
  const others: CompiledRuleSet[] = [];
  for (const { name, stable, latest } of sets) {
    if (own.has(name)) continue;
    const version = stable ?? latest;
    const path = `/v1/rule-sets/${name}/versions/${version}`;
    const { ruleText } = await api.request({ path, answer: RuleVersionDetails });
    const compiled = compileRuleSet(ruleText);
    if (compiled.ok) others.push(compiled.value);
    else
      throw new CliError(
        "failed",
        "rules-invalid",
        `${name}@${version} of the fleet is not a rule set that this picket can read`,
        "use the picket of the control plane's version",
      );
  }
  return others;
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

function ruleFiles(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
  } catch {
    throw new CliError("not-found", "no-file", `there is no file ${path}`);
  }
  const files = readdirSync(path)
    .filter(name => /\.ya?ml$/.test(name))
    .sort()
    .map(name => join(path, name));
  if (files.length === 0) throw new CliError("not-found", "no-file", `no *.yaml in ${path}`);
  return files;
}
