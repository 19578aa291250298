#!/usr/bin/env node
// Runs the built command; in a checkout that is not built yet, the source through tsx. Plain JavaScript, so
// that Node 20, which reads no TypeScript, can start it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const built = join(root, "dist", "main.js");
const source = join(root, "src", "main.ts");

if (existsSync(built) && process.env.PICKET_CLI_SOURCE !== "1") {
  const { main } = await import("../dist/main.js");
  await main(process.argv.slice(2));
} else {
  let tsx;
  try {
    tsx = createRequire(import.meta.url).resolve("tsx");
  } catch {
    console.error("picket: not built, and tsx is not installed: run `npm ci && npm run build`, then again.");
    process.exit(1);
  }
  // A process of its own: tsx's loader and the "source" condition can only be given at start.
  const { status, signal } = spawnSync(
    process.execPath,
    ["--conditions=source", "--import", pathToFileURL(tsx).href, source, ...process.argv.slice(2)],
    { stdio: "inherit" },
  );
  if (signal) process.kill(process.pid, signal);
  process.exit(status ?? 1);
}
