import { existsSync, rmSync } from "node:fs";
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

export type MariaDBOptions = DatabaseOptions;
export type MariaDB = Database;

const SERVER = "/usr/sbin/mariadbd";

export async function startMariaDB(options: MariaDBOptions = {}): Promise<MariaDB> {
  if (!existsSync(SERVER))
    throw new InfraError("no-mariadb", "MariaDB is not installed: apt-get install mariadb-server");
  const { dir, kept } = place({ dir: options.dir, prefix: "picket-mariadb-" });
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
  options: MariaDBOptions;
}): Promise<MariaDB> {
  const data = join(dir, "data");
  const account = serverAccount({ data, preferred: ["mysql", "nobody"] });
  assertReachable(dir, account);
  if (!existsSync(data))
    await fromTemplate({
      template: await templatePath(account),
      target: data,
      account,
      initialise: initialise(account),
    });
  const socket = join(socketDirectory({ dir, account }), "mariadb.sock");
  const logFile = join(dir, "mariadb.log");
  const certificate = options.tls && issueCertificate({ dir, notAfter: options.tls.notAfter, account });
  const { user = "picket", password = randomPassword(), database = "picket" } = options;

  const { server, port } = await onFreePort(options.port, async port => {
    const server = launch({
      name: "MariaDB",
      command: SERVER,
      args: [
        "--no-defaults",
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--port=${port}`,
        ...settings({ options, certificate }),
      ],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      cwd: data,
      account,
      cgroup: options.cgroup,
      logFile,
      stopSignal: kept ? "SIGTERM" : "SIGKILL", // Nobody will read what a temporary one might still write.
    });
    await untilReady({ child: server, logFile, ready: () => answers(socket) });
    return { server, port };
  });
  const exec = (sql: string): Promise<string> =>
    run(
      "mariadb",
      ["--no-defaults", "--skip-ssl", `--socket=${socket}`, "--user=root", "--batch", "--skip-column-names"],
      {
        input: sql,
      },
    );
  await exec(`CREATE DATABASE IF NOT EXISTS \`${database}\` CHARACTER SET utf8mb4;
    CREATE OR REPLACE USER '${user}'@'%' IDENTIFIED BY '${password}';
    GRANT ALL ON *.* TO '${user}'@'%';`);
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
      await exec("FLUSH SSL");
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
  options: MariaDBOptions;
  certificate: Database["certificate"] | undefined;
}): string[] {
  const values: Record<string, string> = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "ON",
    max_allowed_packet: "64M",
    max_connections: "500",
    local_infile: "ON",
    innodb_buffer_pool_size: "64M",
    innodb_log_file_size: "96M", // Template and server agree; the log must hold a 20 MB row several times over.
    innodb_flush_log_at_trx_commit: "2",
    innodb_fast_shutdown: "2",
    ...(certificate ? { ssl_ca: certificate.ca, ssl_cert: certificate.cert, ssl_key: certificate.key } : {}),
    ...options.settings,
  };
  return Object.entries(values).map(([key, value]) => `--${key}=${value}`);
}

async function templatePath(account: Account): Promise<string> {
  const version = /Ver (\S+)/.exec(await run(SERVER, ["--no-defaults", "--version"]))?.[1] ?? "unknown";
  return join(sharedCache(), `mariadb-${version.replace(/[^\w.-]/g, "_")}-${account.name}`);
}

const initialise = (account: Account) => async (dir: string) => {
  const args = [
    "--no-defaults",
    `--datadir=${dir}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
  ];
  await run("mariadb-install-db", [...args, "--innodb-log-file-size=96M", "--skip-log-bin"], {
    account,
    env: { PATH: process.env.PATH, HOME: "/nonexistent" },
  });
};

async function answers(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return false;
  return run("mariadb", [
    "--no-defaults",
    "--skip-ssl",
    `--socket=${socket}`,
    "--user=root",
    "-e",
    "SELECT 1",
  ]).then(
    () => true,
    () => false,
  );
}
