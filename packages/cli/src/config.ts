/**
 * Where the control plane is and who asks: PICKET_URL and PICKET_TOKEN, else what `picket login` kept in
 * $XDG_CONFIG_HOME/picket/config.json (mode 0600, since it holds a token), else for root the control plane that
 * `npm start` runs on this host.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { CliError } from "./errors.ts";

const Config = z.object({ url: z.url({ protocol: /^https?$/ }), token: z.string().min(1) });
export type Config = z.infer<typeof Config>;

export function configDir(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_CONFIG_HOME || join(homedir(), ".config"), "picket");
}

export const configFile = (env: NodeJS.ProcessEnv): string => join(configDir(env), "config.json");

/** Written by `npm start` for as long as it runs. */
const LOCAL_LOGIN = "/run/picket/login.json";

export function readConfig(env: NodeJS.ProcessEnv): Config {
  const stored = readStored(configFile(env)) ?? readLocal(env);
  const url = env.PICKET_URL || stored?.url;
  // What was kept for one server is no other one's to read.
  const token = env.PICKET_TOKEN || (url && sameServer(url, stored?.url) ? stored?.token : undefined);
  if (!url || !token)
    throw new CliError(
      "refused",
      "not-logged-in",
      `no ${url ? "token" : "control plane"} is known`,
      "run `picket login <url>`, or set PICKET_URL and PICKET_TOKEN",
    );
  const parsed = Config.safeParse({ url, token });
  if (!parsed.success)
    throw new CliError("usage", "bad-config", `PICKET_URL is not an http or https address: ${url}`);
  return parsed.data;
}

function sameServer(one: string, other: string | undefined): boolean {
  return other !== undefined && URL.canParse(one) && new URL(one).origin === new URL(other).origin;
}

function readLocal(env: NodeJS.ProcessEnv): Config | null {
  const named = env.PICKET_URL !== undefined || process.getuid?.() !== 0;
  return named ? null : readStored(env.PICKET_LOCAL_LOGIN ?? LOCAL_LOGIN);
}

function readStored(file: string): Config | null {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new CliError("failed", "bad-config", `cannot read ${file}: ${(error as Error).message}`);
  }
  if ((statSync(file).mode & 0o077) !== 0)
    throw new CliError(
      "refused",
      "config-exposed",
      `${file} holds a token and can be read by others`,
      `run \`chmod 600 ${file}\`, and replace the token if others may have read it`,
    );
  try {
    return Config.parse(JSON.parse(text));
  } catch {
    throw new CliError("failed", "bad-config", `${file} is damaged`, "run `picket login <url>` again");
  }
}

export function writeConfig(env: NodeJS.ProcessEnv, config: Config): string {
  const file = configFile(env);
  writePrivate(file, `${JSON.stringify(config, null, 2)}\n`);
  return file;
}

/** Whole or not at all, never readable by others in between. */
export function writePrivate(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(draft, content, { mode: 0o600, flag: "wx" });
    chmodSync(draft, 0o600);
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new CliError("failed", "cannot-write", `cannot write ${file}: ${(error as Error).message}`);
  }
}
