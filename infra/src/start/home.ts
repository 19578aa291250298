import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { firstClosedParent } from "../account.ts";
import { InfraError } from "../process.ts";

// Where `npm start` keeps its state, and the secrets it draws once.

export const checkout = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export type Home = {
  dir: string;
  logs: string;
  /** API token of the first administrator: the login that is printed. */
  bootstrapToken: string;
  /** Encrypts what the control plane must keep secret in its database. */
  secretKey: string;
};

/** PICKET_HOME, else .picket/ in the checkout; PostgreSQL's account cannot enter a private home directory,
 *  so a checkout below one gets /var/lib/picket. The demo keeps its things apart. */
export function openHome({ demo, env }: { demo: boolean; env: NodeJS.ProcessEnv }): Home {
  const beside = join(checkout, ".picket");
  const isClosed =
    process.getuid?.() === 0 &&
    firstClosedParent(join(beside, "x")) !== undefined &&
    !existsSync(join(beside, "start"));
  const base = env.PICKET_HOME ? resolve(env.PICKET_HOME) : isClosed ? "/var/lib/picket" : beside;
  const dir = join(base, demo ? "demo" : "start");
  const logs = join(dir, "logs");
  mkdirSync(logs, { recursive: true, mode: 0o755 });
  return { dir, logs, ...secrets(join(dir, "secrets.json")) };
}

/** The demo begins at the beginning every time; only the programs that were copied out are kept. */
export function clear({ dir }: Home): void {
  for (const name of readdirSync(dir)) {
    if (!/^postgres-\d|^claim\.json$|^secrets\.json$|^logs$/.test(name))
      rmSync(join(dir, name), { recursive: true, force: true });
  }
  for (const name of readdirSync(join(dir, "logs"))) rmSync(join(dir, "logs", name));
}

function secrets(file: string): { bootstrapToken: string; secretKey: string } {
  if (!existsSync(file)) {
    const drawn = {
      bootstrapToken: `pkt_${randomBytes(24).toString("base64url")}`,
      secretKey: randomBytes(32).toString("hex"),
    };
    writeFileSync(`${file}.new`, `${JSON.stringify(drawn)}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
  const read = JSON.parse(readFileSync(file, "utf8")) as { bootstrapToken?: string; secretKey?: string };
  if (!read.bootstrapToken || !read.secretKey) {
    throw new InfraError("bad-secrets", `${file} holds no secrets: remove it, and new ones are drawn`);
  }
  return { bootstrapToken: read.bootstrapToken, secretKey: read.secretKey };
}

const LOG_BYTES_MAX = 10 * 1024 * 1024;

/** One file per service, appended to; a long one makes room when its service starts. */
export function logFile(home: Home, name: string): string {
  const file = join(home.logs, `${name}.log`);
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
  return file;
}
