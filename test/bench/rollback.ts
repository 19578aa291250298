/**
 * A rollout that rolls itself back because its version slows the database, as `picket rollout watch` shows it in a
 * terminal: real agents, a real MariaDB (test/harness/compared-fleet.ts). What the terminal was sent is taken with
 * script(1); of it each
 * frame is kept in which state or reason changed, but those in which nodes install.
 *
 *     npm run bench -- rollback [--out=docs/images/rollback.txt]
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { startComparedFleet } from "../harness/compared-fleet.ts";

const PICKET = fileURLToPath(new URL("../../packages/cli/bin/picket.mjs", import.meta.url));
const COLUMNS = 132;
const WATCH_MS_MAX = 600_000;
/** Up to where it began, and nothing from there on: the next frame. */
const REDRAWN = new RegExp(`${"\x1b"}\\[\\d+A${"\x1b"}\\[0J`);
const execute = promisify(execFile);

export async function run({ json }: { json: boolean }): Promise<Record<string, unknown>> {
  const scratch = mkdtempSync(join(tmpdir(), "picket-rollback-"));
  const fleet = await startComparedFleet();
  try {
    const { url, token, home } = fleet.controlPlane;
    const terminal = async (args: string): Promise<string> => {
      const typescript = join(scratch, "typescript");
      const command = `stty cols ${COLUMNS} rows 50; '${process.execPath}' '${PICKET}' ${args}`;
      // A rollout that was rolled back ends the command with an error, which the terminal shows.
      await execute("script", ["-q", "-c", command, typescript], {
        env: { ...process.env, PICKET_URL: url, PICKET_TOKEN: token, XDG_CONFIG_HOME: home, TERM: "xterm" },
        timeout: WATCH_MS_MAX,
      });
      // Its own first and last line say when it was taken.
      return readFileSync(typescript, "utf8")
        .replace(/\r/g, "")
        .replace(/^Script started.*\n/, "")
        .replace(/\n*Script done.*\n*$/, "");
    };
    const startedMs = Date.now();
    const id = await fleet.start(2);
    const watched = (await terminal(`rollout watch ${id}`)).split(REDRAWN).map(stripVTControlCharacters);
    const seconds = Math.round((Date.now() - startedMs) / 1_000);
    const explained = stripVTControlCharacters(await terminal(`rollout explain ${id}`));
    const state = (frame: string) => frame.match(/^(?:State|Gate) .*$/gm)?.join();
    // While nodes install, every second is another frame.
    const settled = watched.filter(frame => !frame.includes(" not installed yet"));
    const frames = settled.filter((frame, i) => i === 0 || state(frame) !== state(settled[i - 1]!));
    const recorded = [
      `$ picket rollout watch ${id.slice(0, 8)}`,
      ...frames.flatMap(frame => [frame.trimEnd(), ""]),
      `$ picket rollout explain ${id.slice(0, 8)}`,
      explained.trimEnd(),
      "",
    ].join("\n");
    if (!json) console.log(recorded);
    const out = process.argv.find(arg => arg.startsWith("--out="))?.slice("--out=".length);
    if (out !== undefined) writeFileSync(out, recorded);
    const { state: ended } = await fleet.rollout(id);
    return { name: "rollback", state: ended, seconds, frames: frames.length };
  } finally {
    await fleet.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}
