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

/** A server of the MySQL protocol. What differs between the two products is here and in mysql.ts; the rest is shared. */
export type Product = {
  name: string;
  command: string;
  settings: Record<string, string>;
  initialise(options: { account: Account; dir: string }): Promise<void>;
  createUser(user: string, password: string): string;
  reloadCertificate: string;
};

export async function startMariaDB(options: DatabaseOptions = {}): Promise<Database> {
  if (!existsSync(MARIADB.command))
    throw new InfraError("no-mariadb", "MariaDB is not installed: apt-get install mariadb-server");
  return startProduct(MARIADB, options);
}

const MARIADB: Product = {
  name: "mariadb",
  command: "/usr/sbin/mariadbd",
  settings: { innodb_log_file_size: "96M" }, // Template and server agree; the log must hold a 20 MB row several times over.
  async initialise({ account, dir }) {
    const args = [
      "--no-defaults",
      `--datadir=${dir}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      "--innodb-log-file-size=96M",
      "--skip-log-bin",
    ];
    await run("mariadb-install-db", args, {
      account,
      env: { PATH: process.env.PATH, HOME: "/nonexistent" },
    });
  },
  createUser: (user, password) => `CREATE OR REPLACE USER '${user}'@'%' IDENTIFIED BY '${password}'`,
  reloadCertificate: "FLUSH SSL",
};

export async function startProduct(product: Product, options: DatabaseOptions): Promise<Database> {
  const { dir, kept } = place({ dir: options.dir, prefix: `picket-${product.name}-` });
  try {
    return await start({ product, dir, kept, options });
  } catch (error) {
    if (!kept) rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

async function start({
  product,
  dir,
  kept,
  options,
}: {
  product: Product;
  dir: string;
  kept: boolean;
  options: DatabaseOptions;
}): Promise<Database> {
  const data = join(dir, "data");
  const account = serverAccount({ data, preferred: ["mysql", "nobody"] });
  assertReachable(dir, account);
  if (!existsSync(data))
    await fromTemplate({
      template: await templatePath({ product, account }),
      target: data,
      account,
      initialise: dir => product.initialise({ account, dir }),
    });
  const socket = join(socketDirectory({ dir, account }), `${product.name}.sock`);
  const logFile = join(dir, `${product.name}.log`);
  const certificate = options.tls && issueCertificate({ dir, notAfter: options.tls.notAfter, account });
  const { user = "picket", password = randomPassword(), database = "picket" } = options;

  const { server, port } = await onFreePort(options.port, async port => {
    const server = launch({
      name: product.name,
      command: product.command,
      args: [
        "--no-defaults",
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--port=${port}`,
        ...settings({ product, options, certificate }),
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
    ${product.createUser(user, password)};
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
      await exec(product.reloadCertificate);
    },
    async stop() {
      await server.stop({ timeoutMs: 20_000 });
      if (!kept) rmSync(dir, { recursive: true, force: true });
    },
  };
}

function settings({
  product,
  options,
  certificate,
}: {
  product: Product;
  options: DatabaseOptions;
  certificate: Database["certificate"] | undefined;
}): string[] {
  const values: Record<string, string> = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "ON",
    max_allowed_packet: "64M",
    max_connections: "500",
    local_infile: "ON",
    innodb_buffer_pool_size: "64M",
    innodb_flush_log_at_trx_commit: "2",
    innodb_fast_shutdown: "2",
    ...product.settings,
    ...(certificate ? { ssl_ca: certificate.ca, ssl_cert: certificate.cert, ssl_key: certificate.key } : {}),
    ...options.settings,
  };
  return Object.entries(values).map(([key, value]) => `--${key}=${value}`);
}

async function templatePath({ product, account }: { product: Product; account: Account }): Promise<string> {
  const printed = await run(product.command, ["--no-defaults", "--version"]);
  const version = /Ver (\S+)/.exec(printed)?.[1] ?? "unknown";
  return join(sharedCache(), `${product.name}-${version.replace(/[^\w.-]/g, "_")}-${account.name}`);
}

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
