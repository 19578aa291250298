/**
 * `npm run bench -- <name> [--json]`: one benchmark, or `all`. Each prints a table beside the target of the
 * design, or with --json one object. A figure is a ratio within one run where there is something to compare with;
 * read absolute ones beside the machine that the header names.
 */
import { existsSync, readdirSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

type Bench = {
  run(options: { json: boolean; seconds?: number; corpus?: string }): Promise<Record<string, unknown>>;
};

const here = fileURLToPath(new URL(".", import.meta.url));
const names = readdirSync(here)
  .filter(file => /^[a-z-]+\.(ts|mjs)$/.test(file) && !/^(run|target|load|guarded|peers)\./.test(file))
  .map(file => file.replace(/\.\w+$/, ""))
  .sort();

const args = process.argv.slice(2);
const corpusAt = args.indexOf("--corpus");
const [, corpus] = corpusAt < 0 ? [] : args.splice(corpusAt, 2);
const json = args.includes("--json");
const seconds = Number(args.find(arg => arg.startsWith("--seconds="))?.slice("--seconds=".length));
const wanted = args.filter(arg => !arg.startsWith("--"));
if (wanted.length === 0 || wanted.some(name => name !== "all" && !names.includes(name))) {
  console.error(
    `usage: npm run bench -- <name> [--json] [--seconds=N] [--corpus DIR]\nnames: ${names.join(", ")}, all`,
  );
  process.exit(2);
}

if (!json)
  console.log(
    `${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}\n`,
  );
for (const name of wanted.includes("all") ? names : wanted) {
  const file = ["ts", "mjs"].map(kind => `${here}${name}.${kind}`).find(existsSync)!;
  const bench = (await import(file)) as Bench;
  const result = await bench.run({
    json,
    ...(Number.isFinite(seconds) ? { seconds } : {}),
    ...(corpus ? { corpus } : {}),
  });
  if (json) console.log(JSON.stringify({ name, kernel: release(), cpus: cpus().length, ...result }));
}
