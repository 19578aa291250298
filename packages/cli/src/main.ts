/** Runs one command and turns whatever went wrong into a message with what to do, and an exit code. */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { CliError, EXIT } from "./errors.ts";
import { createOutput, harmless } from "./output.ts";
import { createProgram } from "./program.ts";

export async function main(args: string[], env: NodeJS.ProcessEnv = process.env): Promise<void> {
  // `picket … | head`: the reader left, which is no error of ours.
  process.stdout.on("error", error => {
    if ((error as NodeJS.ErrnoException).code === "EPIPE") process.exit(EXIT.ok);
    throw error;
  });
  const json = args.includes("--json") && !args.slice(0, args.indexOf("--json")).includes("--");
  try {
    await createProgram({ env, json }).parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = report(error, { json, env });
  }
}

function report(error: unknown, { json, env }: { json: boolean; env: NodeJS.ProcessEnv }): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
  const known = asCliError(error);
  const { exit, code, message, hint, details } = known;
  if (json) {
    const body = { code, message, hint, exitCode: EXIT[exit], ...(details === undefined ? {} : { details }) };
    process.stderr.write(`${JSON.stringify({ error: body })}\n`);
    return EXIT[exit];
  }
  const { paint } = createOutput({ json, env });
  const toTerminal = process.stderr.isTTY === true;
  const red = (text: string) => (toTerminal ? paint(["red", "bold"], text) : text);
  process.stderr.write(`${red("picket:")} ${message.split("\n").map(harmless).join("\n")}\n`);
  if (typeof details === "string") process.stderr.write(`${details}\n`);
  if (hint !== null) process.stderr.write(`  ${hint}\n`);
  if (code === "internal" && env.PICKET_DEBUG && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  return EXIT[exit];
}

function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof CommanderError)
    return new CliError(
      "usage",
      "usage",
      error.message.replace(/^error: /, ""),
      "`picket --help` and `picket <command> --help` show how",
    );
  const message = error instanceof Error ? error.message : String(error);
  return new CliError("failed", "internal", message, "PICKET_DEBUG=1 shows where it happened");
}

// Started as a program, and not imported by bin/picket.mjs.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  await main(process.argv.slice(2));
