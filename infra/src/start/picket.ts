import { execFile } from "node:child_process";
import { join } from "node:path";
import type { Screen } from "../../bootstrap/screen.mjs";
import { InfraError } from "../process.ts";
import { checkout } from "./home.ts";

/** Runs the real command and shows it, so that everything done here can be repeated by hand. */
export type Picket = <T>(args: string[], options?: { quiet?: boolean }) => Promise<T>;

export function picketCommand(options: {
  url: string;
  token: string;
  socket: string;
  dir: string;
  screen: Screen;
}): Picket {
  const { url, token, socket, dir, screen } = options;
  const program = join(checkout, "packages/cli/bin/picket.mjs");
  const env = {
    ...process.env,
    PICKET_URL: url,
    PICKET_TOKEN: token,
    PICKET_SOCKET: socket,
    XDG_CONFIG_HOME: dir,
    NO_COLOR: "1",
  };
  return <T>(args: string[], { quiet = false }: { quiet?: boolean } = {}) => {
    if (!quiet) screen.note(screen.dim(`  $ picket ${args.map(shown).join(" ")}`));
    return new Promise<T>((resolve, reject) => {
      execFile(
        process.execPath,
        [program, ...args, "--json"],
        { cwd: dir, env, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          if (error !== null)
            return reject(
              new InfraError(
                "picket-failed",
                `picket ${args.join(" ")}: ${explain(stderr) || error.message}`,
              ),
            );
          resolve((stdout.trim() === "" ? undefined : JSON.parse(stdout)) as T);
        },
      );
    });
  };
}

const shown = (argument: string): string => (/^[\w@%:.,=/-]+$/.test(argument) ? argument : `'${argument}'`);

/** With --json an error is {"error": {message, hint}} on standard error. */
function explain(stderr: string): string {
  try {
    const { error } = JSON.parse(stderr) as { error: { message: string; hint?: string | null } };
    return error.hint ? `${error.message} (${error.hint})` : error.message;
  } catch {
    return stderr.trim();
  }
}
