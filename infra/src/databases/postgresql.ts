import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assertReachable, serverAccount } from "../account.ts";
import { sharedCache } from "../embedded/binaries.ts";
import { socketDirectory } from "../embedded/socket-dir.ts";
import { type Account, InfraError, launch, untilReady } from "../process.ts";
import {
  type Database,
  type DatabaseOptions,
  fromTemplate,
  issueCertificate,
  onFreePort,
  place,
  randomPassword,
  run,
} from "./common.ts";

export type PostgreSQLOptions = DatabaseOptions;
export type PostgreSQL = Database;

const INSTALLED = "/usr/lib/postgresql";
const ADMINISTRATOR = "postgres";

export async function startPostgreSQL(options: PostgreSQLOptions = {}): Promise<PostgreSQL> {
  const { dir, kept } = place({ dir: options.dir, prefix: "picket-postgresql-" });
  try {
    return await start({ dir, kept, options });
  } catch (error) {
    if (!kept) rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

async function start({
  dir,
  kept,
  options,
}: {
  dir: string;
  kept: boolean;
  options: PostgreSQLOptions;
}): Promise<PostgreSQL> {
  const bin = programs();
  const data = join(dir, "data");
  const account = serverAccount({ data, preferred: ["postgres", "nobody"] });
  assertReachable(dir, account);
  if (!existsSync(data))
    await fromTemplate({
      template: await templatePath(bin, account),
      target: data,
      account,
      initialise: initialise(bin, account),
    });
  const socket = socketDirectory({ dir, account });
  const logFile = join(dir, "postgresql.log");
  const certificate = options.tls && issueCertificate({ dir, notAfter: options.tls.notAfter, account });
  const { user = "picket", password = randomPassword(), database = "picket" } = options;

  const { server, port } = await onFreePort(options.port, async port => {
    const server = launch({
      name: "PostgreSQL",
      command: join(bin, "postgres"),
      args: ["-D", data, "-p", String(port), "-k", socket, ...settings({ options, certificate })],
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8" },
      cwd: data,
      account,
      cgroup: options.cgroup,
      logFile,
      stopSignal: kept ? "SIGINT" : "SIGQUIT", // Fast, or at once where nobody will read the data again.
    });
    await untilReady({ child: server, logFile, ready: () => isReady(data, server.pid) });
    return { server, port };
  });
  const exec = (sql: string): Promise<string> =>
    run(
      "psql",
      [
        "-X",
        "-q",
        "-t",
        "-A",
        "-F",
        "\t",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        socket,
        "-p",
        String(port),
        "-U",
        ADMINISTRATOR,
        "-d",
        "postgres",
        "-f",
        "-",
      ],
      {
        input: sql,
        env: { PATH: process.env.PATH, PGOPTIONS: "-c client_min_messages=warning" },
      },
    );
  await exec(`DO $$BEGIN CREATE ROLE "${user}"; EXCEPTION WHEN duplicate_object THEN NULL; END$$;
    ALTER ROLE "${user}" LOGIN PASSWORD '${password}';
    SELECT 'CREATE DATABASE "${database}" OWNER "${user}"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '${database}') \\gexec`);
  return {
    host: "127.0.0.1",
    port,
    socket,
    user,
    password,
    database,
    pid: server.pid,
    dir,
    logFile,
    ...(certificate ? { certificate } : {}),
    exec,
    async renewCertificate(notAfter) {
      issueCertificate({ dir, notAfter, account });
      await exec("SELECT pg_reload_conf()");
    },
    async stop() {
      await server.stop({ timeoutMs: 20_000 });
      if (!kept) rmSync(dir, { recursive: true, force: true });
    },
  };
}

function settings({
  options,
  certificate,
}: {
  options: PostgreSQLOptions;
  certificate: Database["certificate"] | undefined;
}): string[] {
  const values: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    max_connections: "300",
    shared_buffers: "64MB",
    log_min_messages: "fatal", // The statements of tests are wrong on purpose.
    fsync: "off",
    ...(certificate
      ? {
          ssl: "on",
          ssl_ca_file: certificate.ca,
          ssl_cert_file: certificate.cert,
          ssl_key_file: certificate.key,
        }
      : {}),
    ...options.settings,
  };
  return Object.entries(values).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
}

/** The newest of the installed major versions. */
function programs(): string {
  const versions = existsSync(INSTALLED)
    ? readdirSync(INSTALLED).filter(name => existsSync(join(INSTALLED, name, "bin/postgres")))
    : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined)
    throw new InfraError("no-postgresql", "PostgreSQL is not installed: apt-get install postgresql");
  return join(INSTALLED, newest, "bin");
}

async function templatePath(bin: string, account: Account): Promise<string> {
  const version = (await run(join(bin, "postgres"), ["--version"])).match(/\d+\.\d+/)?.[0] ?? "unknown";
  return join(sharedCache(), `postgresql-${version}-${account.name}`);
}

const initialise = (bin: string, account: Account) => async (dir: string) => {
  const args = [
    "-D",
    dir,
    "-U",
    ADMINISTRATOR,
    "-E",
    "UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
  ];
  await run(join(bin, "initdb"), [...args, "--auth-local=trust", "--auth-host=scram-sha-256"], { account });
  appendFileSync(join(dir, "postgresql.conf"), "log_timezone = 'UTC'\ntimezone = 'UTC'\n");
};

/** The postmaster writes its state into the eighth line of its pid file. */
function isReady(data: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
  } catch {
    return false;
  }
}
