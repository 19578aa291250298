import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { assertReachable, serverAccount } from "../account.ts";
import { claim, endOrphan } from "../claim.ts";
import { type Account, type Exit, InfraError, launch, untilReady } from "../process.ts";
import { postgresBinaries, sharedCache } from "./binaries.ts";
import { place } from "./place.ts";
import { socketDirectory } from "./socket-dir.ts";

export type EmbeddedPostgres = {
  /** libpq's form; postgres.js does not decode a directory in an URL's host: give it `options`. */
  url: string;
  options: { host: string; port: number; user: string; database: string };
  pid: number;
  exited: Promise<Exit>;
  logFile: string;
  stop(): Promise<void>;
};

export type PostgresOptions = {
  /** Absent: a temporary directory that stop() removes, and not durable. */
  dir?: string;
  /** Where the programs are kept; by default one copy per host and account. */
  cache?: string;
  /** false: no fsync, for tests whose data may be lost with the machine. */
  durable?: boolean;
};

const PORT = 5432; // Only names the socket file.
const NAME = "picket"; // The role and the database.

export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const { dir, durable, discard } = place(options);
  const data = join(dir, "data");
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const account = serverAccount({ data });
  assertReachable(dir, account);
  const held = claim(dir);
  try {
    if (held.orphan !== undefined) await endOrphan(held.orphan, "SIGINT");
    chmodSync(dir, 0o711);
    const { bin, version } = postgresBinaries({ cache: options.cache ?? sharedCache() });
    assertReachable(bin, account);
    if (!existsSync(data)) initialise({ bin, data, account });
    assertSameMajor({ data, version });
    writeAuthentication({ data, account });
    const socket = socketDirectory({ dir, account });
    const logFile = join(dir, "postgres.log");
    const server = await afterLastBackend(logFile, async () => {
      const started = launch({
        name: "PostgreSQL",
        command: join(bin, "postgres"),
        args: ["-D", data, "-p", String(PORT), "-k", socket, ...settings(durable)],
        env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
        cwd: data,
        account,
        logFile,
        stopSignal: "SIGINT", // "Fast": SIGTERM would wait for every client to leave.
      });
      if (started.pid !== -1) held.serverIs(started.pid);
      await untilReady({ child: started, logFile, ready: () => postmasterIsReady(data, started.pid) });
      return started;
    });
    return {
      url: `postgres://${NAME}@${encodeURIComponent(socket)}:${PORT}/${NAME}`,
      options: { host: socket, port: PORT, user: NAME, database: NAME },
      pid: server.pid,
      exited: server.exited,
      logFile,
      async stop() {
        await server.stop({ timeoutMs: 20_000 });
        held.release();
        discard();
      },
    };
  } catch (error) {
    held.release();
    discard();
    throw error;
  }
}

/**
 * After a kill -9 of the postmaster its backends end a moment later, and until then their shared memory keeps
 * a new one from starting. It is worth waiting for.
 */
async function afterLastBackend<T>(logFile: string, start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const logged = existsSync(logFile) ? statSync(logFile).size : 0;
    try {
      return await start();
    } catch (error) {
      const said = existsSync(logFile) ? readFileSync(logFile).subarray(logged).toString() : "";
      if (attempt === 50 || !said.includes("pre-existing shared memory block")) throw error;
      await new Promise(resolve => setTimeout(resolve, 200));
    }
  }
}

function settings(durable: boolean): string[] {
  const values = {
    listen_addresses: "",
    unix_socket_permissions: "0700",
    max_connections: "60",
    shared_buffers: "64MB",
    log_timezone: "UTC",
    timezone: "UTC",
    log_min_messages: "warning",
    ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  return Object.entries(values).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
}

/** Made beside and renamed: a half-made data directory (killed during initdb) is never used. */
function initialise({ bin, data, account }: { bin: string; data: string; account: Account }): void {
  const fresh = `${data}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  if (account.uid !== userInfo().uid) chownSync(fresh, account.uid, account.gid);
  run(join(bin, "initdb"), {
    account,
    args: [
      "-D",
      fresh,
      "-U",
      NAME,
      "-E",
      "UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
    ].concat(["--auth-local=peer", "--auth-host=reject", "--no-instructions", "--no-sync"]),
  });
  run(join(bin, "postgres"), {
    account,
    args: ["--single", "-D", fresh, "postgres"],
    input: `CREATE DATABASE ${NAME}\n`,
  });
  renameSync(fresh, data);
}

function run(
  command: string,
  { args, account, input = "" }: { args: string[]; account: Account; input?: string },
): void {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    input,
    encoding: "utf8",
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
    ...(account.uid === userInfo().uid ? {} : { uid: account.uid, gid: account.gid }),
  });
  if (error !== undefined || status !== 0) {
    throw new InfraError(
      "initialise-failed",
      `${command} failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`,
    );
  }
}

function assertSameMajor({ data, version }: { data: string; version: string }): void {
  const held = readFileSync(join(data, "PG_VERSION"), "utf8").trim();
  const major = version.split(".")[0];
  if (held === major) return;
  throw new InfraError(
    "other-major",
    `${data} was made by PostgreSQL ${held}, this is ${major}: dump and restore it, or remove it`,
  );
}

/** The account that starts Picket, and root, may be the role; nobody else, and nothing over TCP. */
function writeAuthentication({ data, account }: { data: string; account: Account }): void {
  const people = [...new Set([userInfo().username, "root"])];
  put("pg_hba.conf", "local all all peer map=picket\n");
  put("pg_ident.conf", people.map(person => `picket ${person} ${NAME}\n`).join(""));
  function put(name: string, text: string): void {
    const file = join(data, name);
    writeFileSync(file, text, { mode: 0o600 });
    if (account.uid !== userInfo().uid) chownSync(file, account.uid, account.gid);
  }
}

/** The postmaster writes its state into the eighth line of its pid file; an old file names another pid. */
function postmasterIsReady(data: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
  } catch {
    return false;
  }
}
