/** What `npm start` does, for whoever thinks of `picket` first. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { CliError } from "../errors.ts";
import type { Surroundings } from "../program.ts";

export function upCommand(program: Command, { env }: Surroundings): void {
  program
    .command("up")
    .description("install what is missing, build and start everything on this host")
    .option("--demo", "with two databases, a shop, an attack and a rollout to look at")
    .option("--yes", "do not ask before installing packages")
    .action(async (options: { demo?: boolean; yes?: boolean }) => {
      const bootstrap = fileURLToPath(new URL("../../../../infra/bootstrap.mjs", import.meta.url));
      if (!existsSync(bootstrap))
        throw new CliError(
          "failed",
          "no-checkout",
          "`picket up` works in a checkout of the repository",
          "clone it and run `npm start` there",
        );
      const flags = [...(options.demo ? ["--demo"] : []), ...(options.yes ? ["--yes"] : [])];
      const child = spawn(process.execPath, [bootstrap, "--start", ...flags], { stdio: "inherit", env });
      // The terminal sends Ctrl-C to both; the child cleans up and decides the exit code.
      const forward = (signal: NodeJS.Signals) => () => void child.kill(signal);
      process.on("SIGINT", () => {});
      process.on("SIGTERM", forward("SIGTERM"));
      process.on("SIGHUP", forward("SIGHUP"));
      process.exitCode = await new Promise<number>((resolve, reject) => {
        child.once("error", reject);
        child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
      });
    });
}
