#!/usr/bin/env node
// `npm run remove`: takes Picket off this host. Stops what `npm start` and `npm run agent` run here, so that
// statements pass at once, and deletes what they kept. Debian packages stay: other things may use them.

import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const checkout = dirname(dirname(fileURLToPath(import.meta.url)));
const homes = [process.env.PICKET_HOME ?? join(checkout, ".picket"), "/var/lib/picket"];
const CLAIMS = "/run/picket/agents";
const PINS = "/sys/fs/bpf";
const STOP_MS = 30_000;

if (process.getuid?.() !== 0) {
  console.error("Programs in the kernel are root's: sudo npm run remove");
  process.exit(1);
}

/** What /proc/pid/stat says behind the name, from field 3 on; null where there is no such process. */
function statOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  } catch {
    return null;
  }
}

/** Field 22 tells a process from a later one with its number; null where there is none. */
const startTicksOf = pid => statOf(pid)?.[19] ?? null;
const parentOf = pid => statOf(pid)?.[1];

const isAlive = (pid, ticks) => ticks !== null && startTicksOf(pid) === String(ticks);

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

async function stop(what, pid, ticks) {
  if (!isAlive(pid, ticks)) return;
  process.kill(pid, "SIGTERM");
  const deadline = Date.now() + STOP_MS;
  while (isAlive(pid, ticks) && Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, 100));
  if (isAlive(pid, ticks)) {
    console.error(`${what} (pid ${pid}) did not stop within ${STOP_MS / 1000} s; nothing was deleted.`);
    process.exit(1);
  }
  console.log(`Stopped ${what} (pid ${pid}).`);
}

const readJson = file => JSON.parse(readFileSync(file, "utf8"));
const entries = folder => (existsSync(folder) ? readdirSync(folder) : []);

// The start program first: it stops its own agent, and would start nothing anew.
for (const home of homes)
  for (const name of entries(home)) {
    const file = join(home, name, "claim.json");
    if (!existsSync(file)) continue;
    const { owner } = readJson(file);
    await stop(`npm start (${name})`, owner.pid, owner.ticks);
  }
for (const name of entries(CLAIMS)) {
  if (!name.endsWith(".json")) continue;
  const { pid, startTicks, instance, pins } = readJson(join(CLAIMS, name));
  await stop(`agent "${instance}"`, pid, startTicks);
  rmSync(pins, { recursive: true, force: true });
}
for (const name of entries(PINS)) {
  const path = join(PINS, name);
  if (name.startsWith("picket-") && statSync(path).isDirectory())
    rmSync(path, { recursive: true, force: true });
}
// A keeper whose agent was killed would end by itself within a minute; with the pins gone it holds nothing new.
// One that still has its agent as its parent is another checkout's.
for (const pid of entries("/proc").filter(name => /^\d+$/.test(name))) {
  const [program = ""] = commandLine(pid);
  if (!program.endsWith("/picket-keeper")) continue;
  const [parent = ""] = commandLine(parentOf(pid));
  if (!parent.endsWith("node")) await stop("keeper", Number(pid), startTicksOf(pid));
}
for (const path of [...homes, "/run/picket"]) {
  if (!existsSync(path)) continue;
  rmSync(path, { recursive: true, force: true });
  console.log(`Deleted ${path}.`);
}
console.log(`Picket is gone from this host. What is left is this folder: ${checkout}`);
