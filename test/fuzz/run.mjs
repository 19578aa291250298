// Fuzzes, with libFuzzer and address and undefined-behaviour sanitizers, what reads bytes that others chose:
//   lexer     the lexer and what stands on it (lexer.c)
//   protocol  framing, logins, statements and holding in the slot, and sessions by the server's answers (protocol.c)
//   keeper    the keeper's records, its control socket, and what it gives back (keeper.c)
//   node test/fuzz/run.mjs [target…] [--seconds N]      all of them; 60 seconds each
// Needs clang-14 and libclang-rt-14-dev, and for `protocol` the vmlinux.h that building packages/bpf makes. What was
// found stays in build/<target>-corpus, and a failing input in build, with the command to play it again.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { keeperSeeds } from "./keeper-seeds.mjs";
import { protocolSeeds } from "./protocol-seeds.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const build = join(root, "test", "fuzz", "build");
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "60" } },
});
const seconds = Number(options.seconds);
if (!Number.isInteger(seconds) || seconds < 1) throw new Error("--seconds is a whole number from 1");

const { compileTokenRules } = await import(join(root, "packages/native/dist/lexer/index.js"));
const { parse } = createRequire(join(root, "packages/judge/package.json"))("yaml");
const rules = parse(readFileSync(join(root, "packages/judge/rules/core.yaml"), "utf8")).spec.rules;
const compiled = compileTokenRules(
  rules.map(({ id, tokens, dialects }) => ({ id, patterns: [tokens].flat(), dialects })),
);
if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));

mkdirSync(build, { recursive: true });
const table = join(build, "rules.table");
writeFileSync(table, Buffer.from(compiled.value.table.buffer));

const fingerprints = join(root, "test/corpus/fingerprint");
/** Statements with their dialect, as the corpus writes them. */
const lines = readdirSync(fingerprints).flatMap(file =>
  readFileSync(join(fingerprints, file), "utf8").split("\n"),
);
const statementsOf = dialect =>
  lines
    .flatMap(line => new RegExp(`^${dialect} \\S+: (.*)$`).exec(line)?.[1] ?? [])
    .map(line => line.replaceAll("\\n", "\n").replaceAll("\\\\", "\\"));
const texts = [...lines, ...rules.flatMap(({ tests }) => [...tests.attack, ...tests.benign])].map(line =>
  line.replace(/^(mysql|pg) \S+: /, "").replaceAll("\\\\", "\\"),
);
const words = [
  ...compiled.value.ids,
  ...texts.flatMap(text => text.match(/[a-z_]+|[^\sa-z0-9]{2,4}/gi) ?? []),
];
const dictionary = join(build, "dictionary");
writeFileSync(
  dictionary,
  [...new Set(words)]
    .filter(word => /^[ -~]{2,24}$/.test(word))
    .map(word => `"${word.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`)
    .join("\n"),
);

const bpf = join(root, "packages/bpf/src");
const core = name => join(root, "packages/native/src/lexer/core", `${name}.c`);
const keeper = name => join(root, "packages/native/src/keeper", `${name}.c`);
/** What the keeper asks of the system, which its fuzzer plays. */
const PLAYED = [
  ...["bpf_obj_get", "bpf_map_lookup_elem", "bpf_map_update_elem", "bpf_map_delete_elem", "bpf_iter_create"],
  ...["mmap", "socket", "bind", "listen", "connect", "getsockname", "setsockopt", "getsockopt", "accept4"],
  ...["close", "fcntl", "epoll_ctl", "recv", "send", "sendmsg"],
];
/** `parts` are compiled with flags of their own. */
const TARGETS = {
  lexer: {
    sources: ["fingerprint", "text", "shape", "tokens", "redact", "token_rules"].map(core),
    bytesMax: 600,
    seeds: () =>
      texts.flatMap((text, i) =>
        [1, 0].map(dialect =>
          Buffer.concat([Buffer.from([dialect, i & 63, 7, 0, i & 7, 9, i & 1, 0]), Buffer.from(text)]),
        ),
      ),
  },
  protocol: {
    // As a kernel program is compiled, but for user space; its pointers need no alignment.
    flags: [
      ...["-DBPF_NO_PRESERVE_ACCESS_INDEX", "-fno-sanitize=alignment", "-Wno-int-conversion"],
      ...["-Wno-unused-function", "-Wno-missing-field-initializers", "-Wno-sign-compare"],
      ...["-I", join(root, "test/fuzz/kernel"), "-I", join(root, "packages/bpf/build")],
    ],
    bytesMax: 3_000,
    seeds: () => protocolSeeds({ mysql: statementsOf("mysql"), pg: statementsOf("pg") }),
  },
  keeper: {
    flags: ["-D_GNU_SOURCE", "-fno-sanitize=alignment", "-Wno-unknown-pragmas"],
    parts: {
      flags: ["-D_GNU_SOURCE", ...PLAYED.map(name => `-D${name}=fuzz_${name}`), "-Wno-sign-compare"],
      sources: ["agent", "connections", "judge", "kernel"].map(keeper),
    },
    sources: ["tokens", "token_rules"].map(core),
    bytesMax: 2_000,
    seeds: () => keeperSeeds(statementsOf("mysql")),
  },
};

const clang = ["clang-14", "clang"].find(name => !spawnSync(name, ["--version"]).error);
if (!clang) throw new Error("clang is missing: apt-get install clang-14 libclang-rt-14-dev");

function compile(name, { flags = [], parts, sources = [] }) {
  const all = [
    ...["-O2", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-std=gnu11"],
    ...["-Wall", "-Wextra", "-Wno-unused-parameter", ...flags, "-I", bpf],
  ];
  const objects = (parts?.sources ?? []).map((source, i) => {
    const object = join(build, `${name}-${i}.o`);
    execFileSync(clang, [...all, ...parts.flags, "-c", "-o", object, source], { stdio: "inherit" });
    return object;
  });
  const binary = join(build, name);
  execFileSync(clang, [...all, "-o", binary, join(root, `test/fuzz/${name}.c`), ...objects, ...sources], {
    stdio: "inherit",
  });
  return binary;
}

function fuzz(name) {
  const target = TARGETS[name];
  const corpus = join(build, `${name}-corpus`);
  mkdirSync(corpus, { recursive: true });
  for (const [i, seed] of target.seeds().entries()) writeFileSync(join(corpus, `seed-${i}`), seed);
  const binary = compile(name, target);
  const { status } = spawnSync(
    binary,
    [
      corpus,
      `-max_total_time=${seconds}`,
      ...[`-max_len=${target.bytesMax}`, "-timeout=20", "-rss_limit_mb=2048"],
      ...[
        "-print_final_stats=1",
        "-verbosity=0",
        `-dict=${dictionary}`,
        `-artifact_prefix=${build}/${name}-`,
      ],
    ],
    { stdio: "inherit", env: { ...process.env, PICKET_FUZZ_RULES: table } },
  );
  if (status === 0) return true;
  const found = readdirSync(build).filter(file => /^[a-z]+-(crash|timeout|oom|leak)-/.test(file));
  console.error(
    `fuzzing FAILED; play it again: PICKET_FUZZ_RULES=${table} ${binary} ${found.map(file => join(build, file)).join(" ")}`,
  );
  return false;
}

const names = positionals.length > 0 ? positionals : Object.keys(TARGETS);
const unknown = names.find(name => !Object.hasOwn(TARGETS, name));
if (unknown) throw new Error(`no target ${unknown}: there are ${Object.keys(TARGETS).join(", ")}`);
if (names.includes("protocol") && !existsSync(join(root, "packages/bpf/build/vmlinux.h")))
  throw new Error("packages/bpf/build/vmlinux.h is missing: npm run build");
process.exit(names.map(fuzz).every(Boolean) ? 0 : 1);
