// Fuzzes the lexer and what stands on it (lexer.c) with libFuzzer:
//   node test/fuzz/run.mjs [--seconds N]      default 60
// Needs clang-14 and libclang-rt-14-dev. Seeds are the fingerprint corpus and the core rules' own statements;
// what was found stays in build/fuzz/corpus, and a failing input in build/fuzz, with the command to play it again.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const build = join(root, "test", "fuzz", "build");
const corpus = join(build, "corpus");
const at = process.argv.indexOf("--seconds");
const seconds = at < 0 ? 60 : Number(process.argv[at + 1]);
if (!Number.isInteger(seconds) || seconds < 1) throw new Error("--seconds is a whole number from 1");

const { compileTokenRules } = await import(join(root, "packages/native/dist/lexer/index.js"));
const { parse } = createRequire(join(root, "packages/judge/package.json"))("yaml");
const rules = parse(readFileSync(join(root, "packages/judge/rules/core.yaml"), "utf8")).spec.rules;
const compiled = compileTokenRules(
  rules.map(({ id, tokens, dialects }) => ({ id, patterns: [tokens].flat(), dialects })),
);
if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));

mkdirSync(corpus, { recursive: true });
const table = join(build, "rules.table");
writeFileSync(table, Buffer.from(compiled.value.table.buffer));

const fingerprints = join(root, "test/corpus/fingerprint");
const seeds = [
  ...readdirSync(fingerprints).flatMap(file => readFileSync(join(fingerprints, file), "utf8").split("\n")),
  ...rules.flatMap(({ tests }) => [...tests.attack, ...tests.benign]),
].map(line => line.replace(/^(mysql|pg) \S+: /, "").replaceAll("\\\\", "\\"));
for (const [i, seed] of seeds.entries())
  for (const head of [1, 0])
    writeFileSync(
      join(corpus, `seed-${i}-${head}`),
      Buffer.concat([Buffer.from([head, i & 63, 7, 0, i & 7, 9, i & 1, 0]), Buffer.from(seed)]),
    );
const words = [
  ...compiled.value.ids,
  ...seeds.flatMap(seed => seed.match(/[a-z_]+|[^\sa-z0-9]{2,4}/gi) ?? []),
];
writeFileSync(
  join(build, "dictionary"),
  [...new Set(words)]
    .filter(word => /^[ -~]{2,24}$/.test(word))
    .map(word => `"${word.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`)
    .join("\n"),
);

const core = join(root, "packages/native/src/lexer/core");
const fuzzer = join(build, "lexer");
const clang = ["clang-14", "clang"].find(name => !spawnSync(name, ["--version"]).error);
if (!clang) throw new Error("clang is missing: apt-get install clang-14 libclang-rt-14-dev");
execFileSync(
  clang,
  [
    ...["-O2", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-std=gnu11"],
    ...["-Wall", "-Wextra", "-Wno-unused-parameter", "-I", join(root, "packages/bpf/src")],
    ...["-o", fuzzer, join(root, "test/fuzz/lexer.c")],
    ...["fingerprint", "text", "shape", "tokens", "redact", "token_rules"].map(name =>
      join(core, `${name}.c`),
    ),
  ],
  { stdio: "inherit" },
);
const result = spawnSync(
  fuzzer,
  [
    corpus,
    `-max_total_time=${seconds}`,
    ...["-max_len=600", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"],
    `-dict=${join(build, "dictionary")}`,
    `-artifact_prefix=${build}/`,
  ],
  { stdio: "inherit", env: { ...process.env, PICKET_FUZZ_RULES: table } },
);
if (result.status !== 0) {
  const found = readdirSync(build).filter(name => /^(crash|timeout|oom|leak)-/.test(name));
  console.error(
    `fuzzing FAILED; play it again: PICKET_FUZZ_RULES=${table} ${fuzzer} ${found.map(name => join(build, name)).join(" ")}`,
  );
}
process.exit(result.status ?? 1);
