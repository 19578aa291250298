import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";

// What a step shows: on a terminal one line that ticks while it runs, elsewhere plain lines. A step is
// silent only while it is short; one that fails ends with the last lines of its log.

/** A failure that was explained to the user: its message is the whole output, no stack. */
export class Failed extends Error {}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const PLAIN_EVERY_MS = 10_000;

export function createScreen({
  out = process.stdout,
  isTTY = out.isTTY === true,
  now = () => performance.now(),
} = {}) {
  const paint = (code, text) => (isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text);
  const line = text => out.write(`${text}\n`);

  async function step(title, work) {
    const began = now();
    let detail = "";
    const elapsed = () => seconds(now() - began);
    const draw = frame => {
      const text = `${frame} ${title} ${elapsed()}${detail ? `  ${detail}` : ""}`;
      out.write(`\r\u001b[K${text.slice(0, (out.columns ?? 80) - 1)}`);
    };
    let tick = 0;
    const timer = isTTY
      ? setInterval(() => draw(FRAMES[tick++ % FRAMES.length]), 100)
      : setInterval(() => line(`  ${title} … ${elapsed()}${detail ? ` ${detail}` : ""}`), PLAIN_EVERY_MS);
    const end = mark => {
      clearInterval(timer);
      if (isTTY) out.write("\r\u001b[K");
      line(`${mark} ${title} ${paint(2, elapsed())}`);
    };
    try {
      const result = await work({
        progress: text => {
          detail = text;
        },
      });
      end(paint(32, "✓"));
      return result;
    } catch (error) {
      end(paint(31, "✗"));
      throw error;
    }
  }

  return {
    isTTY,
    step,
    note: text => line(text),
    warn: text => line(`${paint(33, "!")} ${text}`),
    bold: text => paint(1, text),
    dim: text => paint(2, text),
    green: text => paint(32, text),
    red: text => paint(31, text),
  };
}

export function seconds(ms) {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** Runs a command with its output in a log file; fails with the log's last lines. */
export function runLogged({
  command,
  args,
  cwd,
  env = process.env,
  logFile,
  onLine,
  relevant = lines => lines.slice(-30),
  statusFd = false,
}) {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, "w");
  const recent = [];
  return new Promise((resolve, reject) => {
    const stdio = ["ignore", "pipe", "pipe", ...(statusFd ? ["pipe"] : [])];
    const child = spawn(command, args, { cwd, env, stdio });
    for (const stream of child.stdio.slice(1, 3)) {
      eachLine(stream, text => {
        writeSync(log, `${text}\n`);
        recent.push(text);
        if (recent.length > 400) recent.shift();
        if (!statusFd) onLine?.(text);
      });
    }
    if (statusFd) eachLine(child.stdio[3], text => onLine?.(text));
    child.once("error", error => finish(error.message));
    child.once("close", (code, signal) => finish(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
    function finish(problem) {
      closeSync(log);
      if (problem === undefined) return resolve();
      reject(
        new Failed(
          `${[...relevant(recent), "", `${command} ${args.join(" ")}: ${problem}. Whole log: ${logFile}`].join("\n")}`,
        ),
      );
    }
  });
}

function eachLine(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", text => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    for (const item of lines) take(item);
  });
  stream.on("end", () => {
    if (rest !== "") take(rest);
  });
}
