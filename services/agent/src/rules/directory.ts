/**
 * Rules from a directory, for an agent that is not enrolled: every *.yaml file is a rule set. Watched, with a slow
 * scan beside it because inotify is not everywhere (overlay and network file systems). A change is taken when the
 * content of the files is the same twice in a row, so that a half-written file is not compiled.
 */
import { createHash } from "node:crypto";
import { type FSWatcher, readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";

export type RuleFile = { name: string; text: string };
export type RuleDirectory = { digest: string; files: RuleFile[] };

const FILE_BYTES_MAX = 4 << 20;
const SETTLE_MS = 150;
const SCAN_MS = 10_000;

/** Digest of a directory without rules. */
export const EMPTY_DIRECTORY = createHash("sha256").digest("hex");

export function readRuleDirectory(directory: string): RuleDirectory {
  const files = readdirSync(directory, { withFileTypes: true })
    .filter(entry => (entry.isFile() || entry.isSymbolicLink()) && /^[^.].*\.ya?ml$/.test(entry.name))
    .map(entry => entry.name)
    .sort()
    .map(name => {
      const bytes = readFileSync(join(directory, name));
      if (bytes.length > FILE_BYTES_MAX)
        throw new Error(`${join(directory, name)} is longer than ${FILE_BYTES_MAX} bytes`);
      return { name, text: bytes.toString("utf8") };
    });
  const hash = createHash("sha256");
  for (const { name, text } of files) hash.update(`${name.length}:${name}${text.length}:${text}`);
  return { digest: hash.digest("hex"), files };
}

/** Calls `changed` with the directory's content now and at every settled change, one call at a time. */
export function watchRuleDirectory(input: {
  directory: string;
  signal: AbortSignal;
  /** Digest of the content that the caller has installed already. */
  taken?: string;
  changed: (content: RuleDirectory) => Promise<void>;
  failed: (error: Error) => void;
}): Promise<void> {
  const { directory, signal, changed, failed } = input;
  let { taken = "" } = input;
  let wake = () => {};
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(directory, { persistent: false, signal }, () => wake());
    watcher.on("error", () => wake());
  } catch {
    // Absent or not watchable: the scan says so, and finds it once it is there.
  }
  const pause = (ms: number) =>
    new Promise<void>(resolve => {
      if (signal.aborted) return resolve();
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done, { once: true });
      wake = done;
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      }
    });

  return (async () => {
    let failure = "";
    while (!signal.aborted) {
      try {
        let content = readRuleDirectory(directory);
        while (content.digest !== taken && !signal.aborted) {
          if (taken !== "") await pause(SETTLE_MS);
          const again = readRuleDirectory(directory);
          if (again.digest === content.digest) {
            taken = content.digest;
            await changed(content);
          }
          content = again;
        }
        failure = "";
      } catch (error) {
        const { message } = error as Error;
        if (message !== failure) failed(error as Error);
        failure = message;
      }
      await pause(SCAN_MS);
    }
  })();
}
