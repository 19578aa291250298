import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runLogged } from "./screen.mjs";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** npm leaves a copy of the lock that it installed; it is current if it names the same versions. */
export function dependenciesAreCurrent(
  wanted = readLock("package-lock.json"),
  held = readLock("node_modules/.package-lock.json"),
) {
  if (wanted === undefined || held === undefined) return false;
  const isExternal = path => path.includes("node_modules/");
  for (const [path, entry] of Object.entries(wanted).filter(([path]) => isExternal(path))) {
    const installed = held[path];
    if (installed === undefined && entry.optional) continue; // Made for another platform.
    if (
      installed === undefined ||
      installed.version !== entry.version ||
      installed.integrity !== entry.integrity
    )
      return false;
  }
  return Object.keys(held)
    .filter(isExternal)
    .every(path => wanted[path] !== undefined);
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** The install scripts of dependencies are not run: none is needed, and none should run as root. */
export async function installDependencies({ screen }) {
  if (dependenciesAreCurrent()) return;
  const beside = join(dirname(process.execPath), "npm");
  await screen.step("npm packages", () =>
    runLogged({
      command: existsSync(beside) ? beside : "npm",
      args: ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
      cwd: root,
      logFile: join(root, ".picket/logs/npm-ci.log"),
    }),
  );
}

/** turbo knows what is already built; with nothing to do this takes a moment. */
export async function build({ screen }) {
  await screen.step("Build: eBPF, addons, TypeScript, console", ({ progress }) =>
    runLogged({
      command: join(root, "node_modules/.bin/turbo"),
      args: ["run", "build", `--concurrency=${Math.max(2, availableParallelism())}`, "--log-order=stream"],
      cwd: root,
      env: {
        ...process.env,
        TURBO_TELEMETRY_DISABLED: "1",
        DO_NOT_TRACK: "1",
        TURBO_NO_UPDATE_NOTIFIER: "1",
        NO_COLOR: "1",
      },
      logFile: join(root, ".picket/logs/build.log"),
      relevant: linesOfFailedPackage,
      onLine: line => {
        const task = /^(@picket\/[\w-]+):build:/.exec(line)?.[1];
        if (task !== undefined) progress(task);
      },
    }),
  );
}

/** Packages build side by side: of a failed build only the failed package's lines help. */
export function linesOfFailedPackage(lines) {
  const failed = lines
    .map(line => /^(@picket\/[\w-]+)#build: +ERROR/.exec(line)?.[1])
    .find(name => name !== undefined);
  if (failed === undefined) return lines.slice(-30);
  const prefix = `${failed}:build: `;
  const own = lines.filter(line => line.startsWith(prefix)).map(line => line.slice(prefix.length));
  const said = own.filter(line => !/^npm (?:error|warn) |^cache |^> |^$/.test(line));
  return [`${failed} does not build:`, ...said.slice(-30)];
}
