/** The real control plane with its console as built from this tree, on PostgreSQL and Redis of its own. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres, startRedis } from "@picket/infra/embedded";
import { freePort } from "@picket/infra/ports";
import { launch, untilReady } from "@picket/infra/process";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = join(root, "services/control-plane/dist/main.js");

/** As a person or a machine asks; throws what was refused. */
export type Api = <T>(method: string, path: string, body?: unknown) => Promise<T>;

export interface ControlPlane {
  url: string;
  /** An administrator's token. */
  token: string;
  api: Api;
  /** The process ends and comes back on the same address with the same data. */
  interrupt(): Promise<{ resume(): Promise<void> }>;
  stop(): Promise<void>;
}

/** `settings`: further ones, by the address that it will have. */
export async function startControlPlane(
  settings: (url: string) => Promise<Record<string, string>> = async () => ({}),
): Promise<ControlPlane> {
  if (!existsSync(program))
    throw new Error(`${program} is absent: npx turbo run build --filter=@picket/control-plane builds it`);
  const dir = mkdtempSync(join(tmpdir(), "picket-browser-"));
  const [postgres, redis] = await Promise.all([
    startPostgres({ durable: false }),
    startRedis({ durable: false }),
  ]);
  const url = `http://127.0.0.1:${await freePort()}`;
  const token = `pkt_${randomBytes(24).toString("base64url")}`;
  const logFile = join(dir, "control-plane.log");
  const further = await settings(url);
  const start = async () => {
    const child = launch({
      name: "control plane",
      command: process.execPath,
      args: [program, "--all"],
      cwd: root,
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: postgres.url,
        REDIS_URL: redis.url,
        PICKET_LISTEN: new URL(url).host,
        PICKET_BOOTSTRAP_TOKEN: token,
        PICKET_SECRET_KEY: randomBytes(32).toString("hex"),
        ...further,
      },
      logFile,
    });
    const ready = () =>
      fetch(`${url}/readyz`).then(
        response => response.ok,
        () => false,
      );
    await untilReady({ child, logFile, ready });
    return child;
  };
  let child = await start();
  return {
    url,
    token,
    api: apiAt(url, token),
    async interrupt() {
      await child.stop();
      return {
        async resume() {
          child = await start();
        },
      };
    },
    async stop() {
      await child.stop();
      await Promise.all([postgres.stop(), redis.stop()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function apiAt(url: string, token: string): Api {
  return async (method, path, body) => {
    const bytes = body instanceof Uint8Array;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && {
          "content-type": bytes ? "application/octet-stream" : "application/json",
        }),
      },
      ...(body !== undefined && { body: bytes ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };
}
