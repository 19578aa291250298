/**
 * The control plane as it is run: API, gateway and worker in processes of their own, PostgreSQL and Redis beside
 * them, each of which can be killed and started again at the same address. Whoever ends is started again, as a
 * service manager would.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres, startRedis } from "@picket/infra/embedded";
import pg from "pg";

export const PARTS = ["api", "gateway", "worker", "PostgreSQL", "Redis"] as const;
export type Part = (typeof PARTS)[number];
export const ADMIN = `pkt_${"c".repeat(32)}`;

const ENTRY = { api: "main.js", gateway: "gateway.js", worker: "worker.js" } as const;

export class World {
  readonly home = mkdtempSync(join(tmpdir(), "picket-chaos-"));
  #postgres!: Awaited<ReturnType<typeof startPostgres>>;
  #redis!: Awaited<ReturnType<typeof startRedis>>;
  readonly #services = new Map<keyof typeof ENTRY, Service>();

  static async start(): Promise<World> {
    const world = new World();
    chmodSync(world.home, 0o755);
    await world.#startPostgres();
    await world.#startRedis();
    for (const part of ["api", "gateway", "worker"] as const) {
      const service = new Service(ENTRY[part], {
        DATABASE_URL: world.#postgres.url,
        REDIS_URL: world.#redis.url,
        PICKET_BOOTSTRAP_TOKEN: ADMIN,
      });
      world.#services.set(part, service);
      await service.start();
    }
    return world;
  }

  url(part: "api" | "gateway"): string {
    return `http://127.0.0.1:${this.#services.get(part)!.port}`;
  }

  /** SIGKILL, a while of nothing, and again. */
  async kill(part: Part, awayMs: number): Promise<void> {
    switch (part) {
      case "PostgreSQL":
        process.kill(this.#postgres.pid, "SIGKILL");
        await this.#postgres.stop();
        await pause(awayMs);
        return this.#startPostgres();
      case "Redis":
        process.kill(this.#redis.pid, "SIGKILL");
        await this.#redis.stop();
        await pause(awayMs);
        return this.#startRedis();
      case "api":
      case "gateway":
      case "worker":
        return this.#services.get(part)!.kill(awayMs);
    }
  }

  /** A statement of the test's own; retried while PostgreSQL is away. */
  async ask<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
    for (;;) {
      const client = new pg.Client(this.#postgres.options);
      client.on("error", () => undefined);
      try {
        await client.connect();
        return (await client.query<T>(text, values)).rows;
      } catch (error) {
        if (/syntax|does not exist/.test(String(error))) throw error;
        await pause(100);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  /** An operator's call, tried until somebody answers. */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    for (;;) {
      const response = await fetch(this.url("api") + path, {
        method,
        headers: { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }).catch(() => null);
      if (response === null || response.status >= 500) {
        await response?.body?.cancel();
        await pause(100);
        continue;
      }
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return (text === "" ? undefined : JSON.parse(text)) as T;
    }
  }

  async stop(): Promise<void> {
    for (const service of this.#services.values()) await service.stop();
    await this.#redis?.stop();
    await this.#postgres?.stop();
    rmSync(this.home, { recursive: true, force: true });
  }

  async #startPostgres(): Promise<void> {
    this.#postgres = await startPostgres({ dir: join(this.home, "pg"), durable: true });
  }

  async #startRedis(): Promise<void> {
    this.#redis = await startRedis({ dir: join(this.home, "redis"), durable: true });
  }
}

class Service {
  port = 0;
  readonly #file: string;
  readonly #environment: Record<string, string>;
  #child: ChildProcess | null = null;
  #wanted = true;
  #awayMs = 0;

  constructor(entry: string, environment: Record<string, string>) {
    this.#file = fileURLToPath(new URL(`../../services/control-plane/dist/${entry}`, import.meta.url));
    this.#environment = environment;
  }

  /** Resolves when it runs for the first time. */
  start(): Promise<void> {
    return new Promise(resolve => this.#spawn(resolve));
  }

  async kill(awayMs: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#awayMs = awayMs;
    const gone = new Promise(resolve => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    await this.kill(0);
  }

  #spawn(ready: () => void): void {
    const child = spawn(process.execPath, [this.#file], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env.PATH,
        ...this.#environment,
        PICKET_LISTEN: `127.0.0.1:${this.port}`,
        PICKET_LOG_LEVEL: "info",
      },
    });
    this.#child = child;
    let log = "";
    child.stdout!.on("data", chunk => {
      if (log.length > 10_000) return;
      log += chunk;
      const port = /"url":"http:\/\/[^"]*:(\d+)"/.exec(log)?.[1];
      if (port !== undefined) this.port = Number(port);
      if (/listening|worker running/.test(log)) ready();
    });
    child.stderr!.resume();
    child.once("exit", () => {
      this.#child = null;
      const awayMs = this.#awayMs + 200;
      this.#awayMs = 0;
      if (this.#wanted) setTimeout(() => this.#wanted && this.#spawn(ready), awayMs);
    });
  }
}

export const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms));
