/**
 * Judges statements without any server: one given as an argument, or JSONL on standard input. The judge itself is
 * loaded when it is needed (judging.ts).
 */
import type { Command } from "commander";
import { leaf } from "../command.ts";
import type { Surroundings } from "../program.ts";

export type JudgeOptions = { dialect?: string; session?: string; rules?: string; learn?: string };

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
        .option("--learn <file>", "JSONL of honest statements, learned before any is judged")
        .addHelpText(
          "after",
          `
Input lines   {"id", "dialect": "mysql"|"pg", "sql" or "sql_hex", "session"?}
Output lines  {"id", "verdict": "benign"|"attack"|"probe", "rules", "fingerprint", "stage"}
              stage: shape, token-rules, drift (with --learn) or ast
              {"id"?, "line", "error"} for a line that cannot be read; the exit code is then 1.
A single statement ends with exit code 0 when benign, else 1.`,
        ),
    async run(context, options: JudgeOptions, sql?: string) {
      const { judgeArguments } = await import("../judging.ts");
      await judgeArguments(context, options, sql);
    },
  });
}
