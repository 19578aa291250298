import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { type Certificate, makeCertificate } from "../certificates.ts";
import { freePort } from "../ports.ts";
import type { Account } from "../process.ts";

export type DatabaseOptions = {
  /** Kept when the server stops; absent: a temporary directory that stop() removes. */
  dir?: string;
  port?: number;
  user?: string;
  /** Absent: drawn at random. */
  password?: string;
  database?: string;
  /** Serves TLS with a certificate of its own small authority that ends then. */
  tls?: { notAfter: Date };
  /** cgroup2 directory for the server's processes. */
  cgroup?: string;
  /** Further settings on the server's command line. */
  settings?: Record<string, string>;
};

export type Database = {
  host: "127.0.0.1";
  port: number;
  /** MariaDB: the socket's path; PostgreSQL: its directory. */
  socket: string;
  user: string;
  password: string;
  database: string;
  pid: number;
  dir: string;
  logFile: string;
  /** Set when TLS is served. */
  certificate?: Certificate;
  /** Runs SQL as the server's administrator; resolves to the rows as lines of tab-separated columns. */
  exec(sql: string): Promise<string>;
  /** Issues a new server certificate and lets the running server take it up. */
  renewCertificate(notAfter: Date): Promise<void>;
  stop(): Promise<void>;
};

export function place({ dir, prefix }: { dir: string | undefined; prefix: string }): {
  dir: string;
  kept: boolean;
} {
  const made = dir === undefined ? mkdtempSync(join(tmpdir(), prefix)) : resolve(dir);
  mkdirSync(made, { recursive: true });
  chmodSync(made, 0o711);
  return { dir: made, kept: dir !== undefined };
}

export function own(path: string, account: Account): void {
  if (account.uid === userInfo().uid) return;
  chownSync(path, account.uid, account.gid);
}

/** Makes an empty data directory once per version and account, and copies it from then on. */
export async function fromTemplate(options: {
  template: string;
  target: string;
  account: Account;
  initialise(dir: string): Promise<void>;
}): Promise<void> {
  const { template, target, account, initialise } = options;
  if (!existsSync(template)) {
    const fresh = join(dirname(template), `.${basename(template)}.${process.pid}`);
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { mode: 0o700 });
    own(fresh, account);
    await initialise(fresh);
    try {
      renameSync(fresh, template);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      if (!existsSync(template)) throw error; // Else another process made the same one first.
    }
  }
  await run("cp", ["-a", "--reflink=auto", template, `${target}.new`]);
  renameSync(`${target}.new`, target);
}

export function issueCertificate({
  dir,
  notAfter,
  account,
}: {
  dir: string;
  notAfter: Date;
  account: Account;
}): Certificate {
  const folder = join(dir, "tls");
  const certificate = makeCertificate({ dir: folder, notAfter });
  chmodSync(certificate.key, 0o600);
  for (const name of readdirSync(folder)) own(join(folder, name), account);
  return certificate;
}

/** Another process may take the port between its choice and its use, so the start is tried again. */
export async function onFreePort<T>(
  port: number | undefined,
  start: (port: number) => Promise<T>,
): Promise<T> {
  if (port !== undefined) return start(port);
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (attempt === 3 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

export function run(
  command: string,
  args: string[],
  { account, input, env }: { account?: Account; input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const become =
    account === undefined || account.uid === userInfo().uid ? {} : { uid: account.uid, gid: account.gid };
  return new Promise((resolve, reject) => {
    const options = {
      cwd: "/",
      encoding: "utf8",
      maxBuffer: 256 * 1024 * 1024,
      ...(env ? { env } : {}),
      ...become,
    } as const;
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} failed: ${stderr.trim() || error.message}`));
    });
    child.stdin?.on("error", () => undefined); // The command may end before it has read everything.
    child.stdin?.end(input ?? "");
  });
}

export const randomPassword = (): string => randomBytes(12).toString("base64url");
