import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { root } from "./build.mjs";
import { Failed, runLogged } from "./screen.mjs";

// Debian packages. The database servers come with services that Debian would start at once and at every
// boot; Picket starts its own, so those that this program installs are neither started nor enabled.

/** What each package is for is shown before it is installed. */
const GROUPS = {
  runtime: {
    clang: "compiles the eBPF programs",
    llvm: "strips them",
    "libbpf-dev": "loads them",
    "libelf-dev": "reads their object files",
    "zlib1g-dev": "needed by libelf",
    bpftool: "prints the kernel's types",
    "g++": "compiles the native addon",
    make: "drives both compilers",
    python3: "runs node-gyp",
    "redis-tools": "holds the embedded Redis",
  },
  demo: {
    "mariadb-server": "the shop's first database",
    postgresql: "the shop's second database",
    openssl: "makes the demo's certificates",
  },
  test: {
    "mariadb-server": "a real server for the tests",
    postgresql: "a real server for the tests",
    openssl: "makes the tests' certificates",
    chromium: "opens the console's page",
    "golang-go": "builds the Go client",
    "golang-github-go-sql-driver-mysql-dev": "its driver",
    "python3-psycopg2": "a PostgreSQL driver to test with",
    "python3-pymysql": "a MySQL driver to test with",
    "libclang-rt-dev": "fuzzes the lexer",
  },
};

const SERVICES = { "mariadb-server": "mariadb.service", postgresql: "postgresql.service" };

export function missingPackages(groups) {
  const wanted = [...new Set(groups.flatMap(group => Object.keys(GROUPS[group])))];
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg fills these in.
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f", "${Package} ${db:Status-Status}\n", ...wanted], {
    encoding: "utf8",
  });
  const installed = new Set(
    (stdout ?? "")
      .split("\n")
      .map(line => line.split(" "))
      .filter(([, status]) => status === "installed")
      .map(([name]) => name),
  );
  return wanted.filter(name => !installed.has(name));
}

export async function ensurePackages({ screen, groups, yes }) {
  const missing = missingPackages(groups);
  if (missing.length === 0) return;
  const purpose = name => groups.map(group => GROUPS[group][name]).find(text => text !== undefined);
  screen.note(screen.bold(`${missing.length} Debian packages are needed:`));
  for (const name of missing) screen.note(`  ${name.padEnd(16)} ${screen.dim(purpose(name))}`);
  if (!existsSync("/usr/bin/apt-get"))
    throw new Failed("There is no apt-get here: install what these are called on this system.");
  if (process.getuid() !== 0) {
    throw new Failed(
      `Installing needs root. Run this, then the same command again:\n\n  sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${missing.join(" ")}\n`,
    );
  }
  if (!yes && process.stdin.isTTY && process.stdout.isTTY && !(await agreed()))
    throw new Failed("Nothing was installed.");

  const log = name => join(root, `.picket/logs/${name}.log`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  const apt = ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Status-Fd=3"];
  const run = (args, logFile, progress) =>
    runLogged({
      command: "apt-get",
      args: [...apt, ...args],
      env,
      logFile,
      statusFd: true,
      onLine: line => progress(aptProgress(line)),
    });
  await screen.step("Package lists", ({ progress }) => run(["update"], log("apt-update"), progress));
  await screen.step(`Debian packages (${missing.length})`, ({ progress }) =>
    withoutServiceStarts(() =>
      run(["install", "--yes", "--no-install-recommends", ...missing], log("apt-install"), progress),
    ),
  );
  for (const name of missing) disableService(SERVICES[name]);
}

async function agreed() {
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await prompt.question("Install them? [Y/n] ");
  prompt.close();
  return /^(y|yes|)$/i.test(answer.trim());
}

/** apt's status lines: kind:package:percent:description */
function aptProgress(line) {
  const [kind, , percent, ...text] = line.split(":");
  if (kind !== "dlstatus" && kind !== "pmstatus") return "";
  return `${Math.round(Number(percent))} %  ${text.join(":").trim()}`;
}

const POLICY = "/usr/sbin/policy-rc.d";
const SAVED = "/usr/sbin/policy-rc.d.before-picket";
const MARK = "# Written by Picket's set-up for the time of one installation; safe to remove.";

/** invoke-rc.d asks policy-rc.d before it starts a service; 101 forbids it. One that is already there is
 *  put back, also after a set-up that was killed half way. */
async function withoutServiceStarts(install) {
  const isOurs = existsSync(POLICY) && readFileSync(POLICY, "utf8").includes(MARK);
  if (existsSync(POLICY) && !isOurs) renameSync(POLICY, SAVED);
  writeFileSync(POLICY, `#!/bin/sh\n${MARK}\nexit 101\n`, { mode: 0o755 });
  const restore = () => {
    rmSync(POLICY, { force: true });
    if (existsSync(SAVED)) renameSync(SAVED, POLICY);
  };
  const onSignal = signal => {
    restore();
    process.kill(process.pid, signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.once(signal, onSignal);
  try {
    await install();
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    restore();
  }
}

function disableService(service) {
  if (service === undefined || !existsSync("/usr/bin/systemctl")) return;
  spawnSync("systemctl", ["disable", "--quiet", service], { stdio: "ignore" });
}
