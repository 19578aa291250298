#!/usr/bin/env node
// From a fresh clone to a built tree: Debian packages, npm packages, build. Plain JavaScript without
// dependencies, since nothing is installed yet. Each step looks first and does nothing twice.
//
//   node infra/bootstrap.mjs                  set up
//   node infra/bootstrap.mjs --start [--demo] set up, then run Picket here
//   node infra/bootstrap.mjs --test           set up what the tests need, then run them
//   --check  says what is missing, changes nothing;  --only-packages  stops after the Debian packages
//   --yes    installs without asking

import { existsSync } from "node:fs";
import { join } from "node:path";
import { build, dependenciesAreCurrent, installDependencies, root } from "./bootstrap/build.mjs";
import { unmetRequirements } from "./bootstrap/host.mjs";
import { ensurePackages, missingPackages } from "./bootstrap/packages.mjs";
import { createScreen, Failed } from "./bootstrap/screen.mjs";

const FLAGS = ["--start", "--demo", "--test", "--check", "--only-packages", "--yes", "--help"];

const flags = new Set(process.argv.slice(2).filter(argument => FLAGS.includes(argument)));
const rest = process.argv.slice(2).filter(argument => !FLAGS.includes(argument));
const screen = createScreen();

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Failed)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function main() {
  if (flags.has("--help")) return usage(0);
  // Further arguments are for the start program (--port …) or for vitest (a path, -t …).
  if (rest.length > 0 && !flags.has("--start") && !flags.has("--test")) return usage(1);
  const groups = [
    "runtime",
    ...(flags.has("--demo") ? ["demo"] : []),
    ...(flags.has("--test") ? ["test"] : []),
  ];

  for (const { fatal, text } of unmetRequirements()) {
    if (fatal) throw new Failed(text);
    screen.warn(text);
  }
  if (flags.has("--check")) return check(groups);
  await ensurePackages({ screen, groups, yes: flags.has("--yes") });
  if (flags.has("--only-packages")) return 0;
  await installDependencies({ screen });
  await build({ screen });
  if (flags.has("--test")) return (await import("./bootstrap/test.mjs")).runTests({ args: rest });
  if (flags.has("--start")) return start();
  screen.note("Ready. Next: npm start, or npm start -- --demo");
  return 0;
}

/** The start program runs in this process, so that a Ctrl-C or a SIGTERM reaches it and nobody else. */
async function start() {
  const { start } = await import("./dist/start.js");
  return start({ argv: [...(flags.has("--demo") ? ["--demo"] : []), ...rest] });
}

function check(groups) {
  const missing = missingPackages(groups);
  const todo = [
    ...(missing.length > 0 ? [`Debian packages to install: ${missing.join(" ")}`] : []),
    ...(dependenciesAreCurrent() ? [] : ["npm packages to install: npm ci"]),
    ...(existsSync(join(root, "infra/dist/start.js")) ? [] : ["to build: npx turbo run build"]),
  ];
  for (const line of todo) screen.note(line);
  if (todo.length === 0) screen.note("Everything is installed and built.");
  return todo.length === 0 ? 0 : 1;
}

function usage(code) {
  const unknown = rest.length > 0 ? `Unknown: ${rest.join(" ")}\n` : "";
  console.error(`${unknown}Usage: node infra/bootstrap.mjs [${FLAGS.join("] [")}]`);
  return code;
}
