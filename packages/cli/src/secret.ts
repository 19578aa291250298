/** Secrets come from the environment, standard input or a prompt that does not echo; an argument shows in `ps`. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { usage } from "./errors.ts";

const SECRET_BYTES_MAX = 8_192;

export async function readSecret({
  what,
  variable,
  argument,
  env,
}: {
  what: string;
  variable: string;
  /** The option's value; "-" reads standard input. */
  argument: string | undefined;
  env: NodeJS.ProcessEnv;
}): Promise<string> {
  const given = argument !== undefined && argument !== "-" ? argument : undefined;
  const fromEnv = argument === undefined ? env[variable] : undefined;
  const secret =
    given ?? (fromEnv || (process.stdin.isTTY ? await prompt(`${what}: `) : await text(process.stdin)));
  const trimmed = secret.trim();
  if (trimmed === "" || trimmed.length > SECRET_BYTES_MAX || /\s/.test(trimmed))
    throw usage(
      trimmed === "" ? `no ${what} was given` : `that is not a ${what}`,
      `set ${variable}, or give it on standard input`,
    );
  return trimmed;
}

function prompt(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((resolve, reject) => {
    reader.once("SIGINT", () => {
      reader.close();
      process.stderr.write("\n");
      reject(usage("interrupted"));
    });
    reader.question("", answer => {
      reader.close();
      process.stderr.write("\n");
      resolve(answer);
    });
  });
}
