import { expect, test } from "vitest";
import type { Exit } from "./process.ts";
import { RESTARTS_PER_MINUTE_MAX, type Service, supervise } from "./supervisor.ts";

const log: string[] = [];
const screen = {
  step: async <T>(_: string, work: (step: { progress(text: string): void }) => Promise<T> | T): Promise<T> =>
    work({ progress: () => undefined }),
  warn: (text: string) => void log.push(`! ${text}`),
};

function service(name: string, options: { restarts?: boolean; failsAt?: number } = {}) {
  let starts = 0;
  let end: (exit: Exit) => void = () => undefined;
  const made: Service = {
    name,
    restarts: options.restarts ?? false,
    async start() {
      starts++;
      if (starts === options.failsAt) throw new Error(`${name} is broken`);
      log.push(`+${name}`);
      const exited = new Promise<Exit>(resolve => {
        end = resolve;
      });
      return {
        exited,
        stop: async () => {
          log.push(`-${name}`);
          end({ code: 0, signal: null });
        },
      };
    },
  };
  return { made, end: (exit: Exit) => end(exit), starts: () => starts };
}

const run = (services: Service[], signal = new AbortController().signal, now = () => 0) => {
  log.length = 0;
  return supervise({ services, screen, signal, now, restartAfterMs: 0 });
};

test("services start in order and stop in the reverse order", async () => {
  const supervised = await run([service("a").made, service("b").made, service("c").made]);
  await supervised.stop();
  expect(log).toEqual(["+a", "+b", "+c", "-c", "-b", "-a"]);
});

test("when one does not start, those before it are stopped and the error is passed on", async () => {
  await expect(
    run([service("a").made, service("b", { failsAt: 1 }).made, service("c").made]),
  ).rejects.toThrow("b is broken");
  expect(log).toEqual(["+a", "-a"]);
});

test("a Ctrl-C during the start stops what was started", async () => {
  const abort = new AbortController();
  const second = service("b");
  const interrupting: Service = {
    ...second.made,
    start: async signal => {
      abort.abort();
      return second.made.start(signal);
    },
  };
  const starting = run([service("a").made, interrupting, service("c").made], abort.signal);
  await expect(starting).rejects.toMatchObject({ name: "AbortError" });
  expect(log).toEqual(["+a", "+b", "-b", "-a"]);
});

test("a process that ends by itself is started again, and given up after too many times in a minute", async () => {
  const a = service("a", { restarts: true });
  const supervised = await run([a.made]);
  for (let times = 1; times <= RESTARTS_PER_MINUTE_MAX; times++) {
    a.end({ code: null, signal: "SIGSEGV" });
    await expect.poll(a.starts).toBe(times + 1);
    await new Promise(resolve => setTimeout(resolve, 20)); // Until the new one is watched.
  }
  a.end({ code: 3, signal: null });
  expect(await supervised.failed).toBe("a ended (code 3)");
  await supervised.stop();
});

test("a process that ends now and then is started again for ever", async () => {
  let clock = 0;
  const a = service("a", { restarts: true });
  const supervised = await run([a.made], undefined, () => clock);
  for (let times = 1; times <= RESTARTS_PER_MINUTE_MAX + 3; times++) {
    clock += 61_000;
    a.end({ code: 1, signal: null });
    await expect.poll(a.starts).toBe(times + 1);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  await supervised.stop();
});

test("a database that ends by itself is not silently replaced", async () => {
  const a = service("PostgreSQL");
  const supervised = await run([a.made]);
  a.end({ code: null, signal: "SIGKILL" });
  expect(await supervised.failed).toBe("PostgreSQL ended (SIGKILL)");
  expect(a.starts()).toBe(1);
});

test("an end that was asked for is no failure", async () => {
  const supervised = await run([service("a", { restarts: true }).made]);
  await supervised.stop();
  await expect(Promise.race([supervised.failed, Promise.resolve("nothing")])).resolves.toBe("nothing");
});
