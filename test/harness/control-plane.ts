/**
 * The real control plane in one process, on embedded PostgreSQL and Redis, driven by the real `picket` command:
 * what a journey does here, an operator can repeat by hand.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "./agent.ts";
import { startEmbeddedPostgres, startEmbeddedRedis } from "./index.ts";

const MAIN = fileURLToPath(new URL("../../services/control-plane/dist/main.js", import.meta.url));
const PICKET = fileURLToPath(new URL("../../packages/cli/bin/picket.mjs", import.meta.url));

export type ControlPlane = {
  readonly url: string;
  readonly token: string;
  /** Configuration of the picket command: the release key lies here. */
  readonly home: string;
  /** Its PostgreSQL, for what no API allows: a control plane that was taken over. */
  readonly databaseUrl: string;
  readonly log: () => string;
  /** SIGKILL; its PostgreSQL and Redis go on. */
  kill(): Promise<void>;
  /** After kill(): the same again, at the same address. */
  restart(): Promise<void>;
  /** `picket --json …`; rejects with what it said. */
  picket<T>(...args: string[]): Promise<T>;
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
  stop(): Promise<void>;
};

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** `env`: for the control plane and for the picket command. */
export async function startControlPlane(env: Record<string, string> = {}): Promise<ControlPlane> {
  const home = mkdtempSync(join(tmpdir(), "picket-control-plane-"));
  chmodSync(home, 0o711); // The database runs as an account of its own.
  const postgres = await startEmbeddedPostgres({ dir: join(home, "postgres") });
  const redis = await startEmbeddedRedis({ dir: join(home, "redis") });
  const port = await freePort();
  const url = `${env.PICKET_TLS_CERT === undefined ? "http" : "https"}://127.0.0.1:${port}`;
  const token = `pkt_${randomBytes(24).toString("base64url")}`;
  let log = "";
  let child: ChildProcess | undefined;
  const end = async (signal: NodeJS.Signals) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  const start = async () => {
    const started = spawn(process.execPath, [MAIN, "--all"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        DATABASE_URL: postgres.url,
        REDIS_URL: redis.url,
        PICKET_LISTEN: `127.0.0.1:${port}`,
        PICKET_BOOTSTRAP_TOKEN: token,
        ...env,
      },
    });
    child = started;
    const before = log.length;
    for (const stream of [started.stdout!, started.stderr!])
      stream.on("data", chunk => {
        log += chunk;
      });
    await eventually(async () => {
      if (started.exitCode !== null)
        throw new Error(`the control plane ended with code ${started.exitCode}:\n${log}`);
      return log.includes("control plane listening", before) || undefined;
    }, "the control plane is ready");
  };
  const stop = async () => {
    await end("SIGTERM");
    await redis.stop();
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  };
  await start().catch(async error => {
    await stop();
    throw new Error(`${(error as Error).message}\n${log}`);
  });

  return {
    url,
    token,
    home,
    databaseUrl: postgres.url,
    log: () => log,
    kill: () => end("SIGKILL"),
    restart: start,
    picket: <T>(...args: string[]) =>
      new Promise<T>((resolve, reject) => {
        execFile(
          process.execPath,
          [PICKET, "--json", ...args],
          {
            cwd: home,
            env: { ...process.env, ...env, PICKET_URL: url, PICKET_TOKEN: token, XDG_CONFIG_HOME: home },
          },
          (error, stdout, stderr) => {
            if (error) return reject(new Error(`picket ${args.join(" ")}: ${stderr || error.message}`));
            resolve((stdout.trim() === "" ? undefined : JSON.parse(stdout)) as T);
          },
        );
      }),
    async api<T>(method: string, path: string, body?: unknown): Promise<T> {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
      return (text === "" ? undefined : JSON.parse(text)) as T;
    },
    stop,
  };
}
