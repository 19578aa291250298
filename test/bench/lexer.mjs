/**
 * Statements a second on one core: lexed, their shape hashed, the verdict of a known shape looked up (lexer.c, the
 * header that the kernel runs, built as the addon is). With PICKET_LIBINJECTION naming a shared library of
 * libinjection, the same statements go through libinjection_sqli() in the same run.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

const TARGET = 2_000_000;
const TARGET_RATIO = 2;
const ROUNDS = 9;
const here = fileURLToPath(new URL(".", import.meta.url));

const median = values => [...values].sort((a, b) => a - b)[values.length >> 1];

function build() {
  const compiler = ["clang-14", "clang", "cc"].find(name => !spawnSync(name, ["--version"]).error);
  if (!compiler) throw new Error("no C compiler: apt-get install clang-14");
  const folder = join(here, "build");
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "lexer");
  const headers = join(here, "../../packages/bpf/src");
  execFileSync(compiler, ["-O3", "-std=gnu11", "-I", headers, "-o", program, join(here, "lexer.c"), "-ldl"], {
    stdio: "inherit",
  });
  return { program, compiler };
}

export async function run({ json = false } = {}) {
  const { program, compiler } = build();
  const peer = process.env.PICKET_LIBINJECTION;
  if (!peer)
    console.error("SKIPPED: libinjection was NOT measured. Set PICKET_LIBINJECTION to its shared library.");
  const output = execFileSync(program, [String(ROUNDS), ...(peer ? [peer] : [])], { encoding: "utf8" });
  const rounds = [...output.matchAll(/^round (\S+) (\S+) (\S+)$/gm)].map(([, ...numbers]) =>
    numbers.map(Number),
  );
  const perSecond = Math.round(1e9 / median(rounds.map(([ours]) => ours)));
  const result = {
    name: "lexer",
    compiler,
    bytes: Number(/^bytes (\S+)$/m.exec(output)?.[1]),
    target: TARGET,
    perSecond,
    met: perSecond >= TARGET,
    libinjection: peer
      ? {
          target: TARGET_RATIO,
          perSecond: Math.round(1e9 / median(rounds.map(([, theirs]) => theirs))),
          ratio: Number(median(rounds.map(([ours, theirs]) => theirs / ours)).toFixed(2)),
        }
      : "skipped: PICKET_LIBINJECTION is not set",
  };
  if (!json) {
    const rate = value => `${(value / 1e6).toFixed(2)} million/s`;
    console.log(`lexer + fingerprint + known verdict, ${result.bytes} bytes, one core, ${compiler} -O3`);
    console.log(
      `  picket        ${rate(perSecond)}   target ${rate(TARGET)}: ${result.met ? "met" : "MISSED"}`,
    );
    if (peer)
      console.log(
        `  libinjection  ${rate(result.libinjection.perSecond)}   ratio ${result.libinjection.ratio}, target ${TARGET_RATIO}: ${result.libinjection.ratio >= TARGET_RATIO ? "met" : "MISSED"}`,
      );
  }
  return result;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const json = argv.includes("--json");
  const result = await run({ json });
  if (json) console.log(JSON.stringify(result));
}
