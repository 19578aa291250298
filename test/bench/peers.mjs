/**
 * What Picket's judge is compared with, on the same texts in the same run: libinjection (PICKET_LIBINJECTION names
 * its shared library) and the regular expressions of the OWASP Core Rule Set's file 942 (PICKET_CRS942 names it),
 * run by JavaScript's engine, as strings without the transformations that only make sense for URLs. Neither is
 * part of this repository.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** → {flagged: boolean[], ns} or null when it is not at hand. */
export function libinjection(texts) {
  const library = process.env.PICKET_LIBINJECTION;
  if (!library) return null;
  const folder = mkdtempSync(join(tmpdir(), "picket-peer-"));
  try {
    const program = join(folder, "libinjection");
    const source = fileURLToPath(new URL("libinjection.c", import.meta.url));
    const built = spawnSync("cc", ["-O2", "-std=gnu11", "-o", program, source, "-ldl"], { encoding: "utf8" });
    if (built.status !== 0) throw new Error(built.stderr);
    const frames = texts.flatMap(text => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    });
    const ran = spawnSync(program, [library], { input: Buffer.concat(frames), maxBuffer: 1 << 28 });
    if (ran.status !== 0) throw new Error(String(ran.stderr));
    return { flagged: Array.from(ran.stdout, byte => byte === 0x31), ns: Number(ran.stderr) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The expressions of one paranoia level and those below, and how many JavaScript cannot read. */
export function crs942(paranoia) {
  const file = process.env.PICKET_CRS942;
  if (!file) return null;
  const rules = readFileSync(file, "utf8")
    .replace(/\\\n\s*/g, " ")
    .split("\n");
  const expressions = [];
  let unreadable = 0;
  for (const rule of rules) {
    const pattern = /^SecRule\s+\S.*?"@rx (.*?)"\s+"/.exec(rule)?.[1];
    const level = Number(/paranoia-level\/(\d)/.exec(rule)?.[1] ?? 9);
    if (pattern === undefined || level > paranoia) continue;
    const insensitive = pattern.startsWith("(?i)");
    const source = pattern
      .replace(/^\(\?i\)/, "")
      .replaceAll('\\"', '"')
      .replace(/\(\?[is]+\)/g, "");
    try {
      expressions.push(new RegExp(source, insensitive ? "is" : "s"));
    } catch {
      unreadable++;
    }
  }
  return { expressions, unreadable };
}

export const flaggedBy = ({ expressions }, text) => expressions.some(expression => expression.test(text));
