import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroup2Mount } from "@picket/infra/cgroup";
import { freePort } from "@picket/infra/ports";
import { afterAll, beforeAll, expect, test } from "vitest";

// The whole demo, as a stranger starts it, and as they leave it: by Ctrl-C.

const BOOTSTRAP = join(import.meta.dirname, "../../bootstrap.mjs");

let home: string;
let demo: ChildProcess;
let transcript = "";

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "picket-test-demo-"));
  chmodSync(home, 0o755); // The database servers' accounts must enter.
  demo = spawn(
    process.execPath,
    [BOOTSTRAP, "--start", "--demo", "--yes", "--port", String(await freePort())],
    {
      env: { ...process.env, PICKET_HOME: home },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  for (const stream of [demo.stdout!, demo.stderr!]) {
    stream.on("data", (chunk: Buffer) => {
      transcript += chunk.toString("utf8");
    });
  }
});
afterAll(async () => {
  if (demo.exitCode === null && demo.signalCode === null) {
    demo.kill("SIGKILL");
    await once(demo, "exit");
  }
  rmSync(home, { recursive: true, force: true });
});

/** Processes that were started for this home and still run. */
function leftovers(): string[] {
  return readdirSync("/proc")
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap(pid => {
      try {
        const text =
          readFileSync(`/proc/${pid}/cmdline`, "latin1") + readFileSync(`/proc/${pid}/environ`, "latin1");
        return text.includes(home) ? [text.slice(0, 120).replaceAll("\0", " ")] : [];
      } catch {
        return [];
      }
    });
}

test("the demo reaches blocked attacks, a complete rollout, a webhook and a ticket by itself", async () => {
  const ended = once(demo, "exit").then(() => "ended");
  const told = expect
    .poll(() => transcript, { timeout: 180_000, interval: 500 })
    .toContain("Try your own injection");
  const first = await Promise.race([told.then(() => "told"), ended]).catch((error: Error) => error.message);
  expect(first, transcript).toBe("told");
  for (const expected of [
    "shapes learned",
    "rollout complete",
    "blocked by version 2",
    "webhook received",
    "ticket received",
  ]) {
    expect(transcript).toContain(expected);
  }
  expect(transcript).toContain("14 of 14 attacks were blocked");
  expect(transcript).toMatch(/Honest requests meanwhile: [1-9]\d* answered, 0 refused, 0 lost/);
}, 240_000);

test("Ctrl-C leaves nothing running: no process, no cgroup, no pin", async () => {
  if (demo.exitCode === null) {
    demo.kill("SIGINT");
    demo.kill("SIGINT"); // One Ctrl-C arrives twice when the starter passes it on.
    await once(demo, "exit");
  }
  expect(demo.exitCode, transcript).toBe(0);
  expect(leftovers()).toEqual([]);
  expect(existsSync(join(cgroup2Mount(), "picket-demo"))).toBe(false);
  expect(existsSync("/sys/fs/bpf/picket-demo")).toBe(false);
}, 60_000);
