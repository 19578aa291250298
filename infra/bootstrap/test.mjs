import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./build.mjs";

/** Runs vitest; the last line printed is always "N passed, N failed". Resolves to the exit code. */
export async function runTests({ args }) {
  const results = join(root, ".picket/test-results.json");
  mkdirSync(dirname(results), { recursive: true });
  rmSync(results, { force: true });
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
  const child = spawn(process.execPath, [vitest, "run", ...reporters, ...args], {
    cwd: root,
    stdio: "inherit",
  });
  const code = await new Promise(resolve => {
    child.once("error", () => resolve(1));
    child.once("close", exitCode => resolve(exitCode ?? 1));
  });
  const { passed, failed } = count(readResults(results), code);
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 ? code || 1 : code;
}

/** A file that could not even be loaded holds no test; it counts as one that failed. */
export function count(results, code) {
  if (results === undefined) return { passed: 0, failed: 1 };
  const unloaded = results.testResults.filter(
    file => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  const failed = results.numFailedTests + unloaded;
  return { passed: results.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
}

function readResults(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
