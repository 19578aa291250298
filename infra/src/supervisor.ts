import type { Screen } from "../bootstrap/screen.mjs";
import type { Exit } from "./process.ts";

// Starts services in order, each when the one before it is ready, and stops them in the reverse order.
// A service that ends by itself is started again if it may be, a few times a minute; else everything stops.

export type Started = {
  stop(): Promise<unknown>;
  /** Absent for what is no process. */
  exited?: Promise<Exit>;
  logFile?: string;
};

export type Service = {
  name: string;
  restarts?: boolean;
  start(signal: AbortSignal): Promise<Started>;
};

export type Supervised = {
  /** Resolves to the reason when something ended that could not be brought back. Never rejects. */
  failed: Promise<string>;
  /** Starts more of them, after those that run. */
  add(services: Service[]): Promise<void>;
  stop(): Promise<void>;
};

export const RESTARTS_PER_MINUTE_MAX = 3;
const RESTART_AFTER_MS = 1_000;

type Entry = { service: Service; started: Started };

export async function supervise(options: {
  services: Service[];
  screen: Pick<Screen, "step" | "warn">;
  signal: AbortSignal;
  now?: () => number;
  restartAfterMs?: number;
}): Promise<Supervised> {
  const {
    services,
    screen,
    signal,
    now = () => performance.now(),
    restartAfterMs = RESTART_AFTER_MS,
  } = options;
  const entries: Entry[] = [];
  let stopping = false;
  let fail: (reason: string) => void = () => undefined;
  const failed = new Promise<string>(resolve => {
    fail = resolve;
  });

  const stop = async (): Promise<void> => {
    stopping = true;
    for (const { service, started } of entries.splice(0).reverse()) {
      await started
        .stop()
        .catch((error: Error) => screen.warn(`${service.name} did not stop cleanly: ${error.message}`));
    }
  };

  const add = async (more: Service[]): Promise<void> => {
    for (const service of more) {
      signal.throwIfAborted();
      const entry = { service, started: await screen.step(service.name, () => service.start(signal)) };
      entries.push(entry);
      void watch(entry);
    }
    signal.throwIfAborted();
  };

  try {
    await add(services);
  } catch (error) {
    await stop();
    throw error;
  }
  return { failed, add, stop };

  async function watch(entry: Entry): Promise<void> {
    const { name, restarts = false } = entry.service;
    const ends: number[] = [];
    while (entry.started.exited !== undefined) {
      const exit = await entry.started.exited;
      if (stopping) return;
      const how = exit.signal ?? `code ${exit.code}`;
      const log = entry.started.logFile === undefined ? "" : `; its log: ${entry.started.logFile}`;
      ends.push(now());
      const recent = ends.filter(at => at > now() - 60_000).length;
      if (!restarts || recent > RESTARTS_PER_MINUTE_MAX) return fail(`${name} ended (${how})${log}`);
      screen.warn(`${name} ended (${how}) and is started again${log}`);
      await new Promise(resolve => setTimeout(resolve, restartAfterMs));
      if (stopping) return;
      try {
        const started = await entry.service.start(signal);
        if (stopping) return void (await started.stop());
        entry.started = started;
      } catch (error) {
        return fail(`${name} could not be started again: ${(error as Error).message}`);
      }
    }
  }
}
