// Builds the native addons of binding.gyp with node-gyp, and skips the work when nothing that enters
// them changed: a hash over sources, headers, this file and the Node ABI is kept under build/.
// `node build.mjs [target…]` builds only the named targets and leaves the stamp alone.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const stampFile = join(here, "build", "sources.sha256");
const targets = process.argv.slice(2);

function nativeFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /\.(c|cc|h)$/.test(entry.name))
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function sourceHash() {
  const hash = createHash("sha256").update(
    `${process.arch} ${process.versions.modules} ${process.versions.napi}\n`,
  );
  const files = [
    join(here, "binding.gyp"),
    join(here, "build.mjs"),
    ...nativeFiles(join(here, "src")),
    ...nativeFiles(join(here, "..", "bpf", "src")),
  ];
  for (const file of files) hash.update(file.slice(here.length)).update("\0").update(readFileSync(file));
  return hash.digest("hex");
}

function nodeGyp(args) {
  const gyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js");
  const prefix = dirname(dirname(process.execPath));
  // With the headers beside the running Node nothing has to be downloaded.
  const nodedir = existsSync(join(prefix, "include", "node", "node.h")) ? [`--nodedir=${prefix}`] : [];
  // clang makes the lexer twice as fast as gcc does, and the eBPF objects need it anyway.
  const env = { CC: "clang-14", CXX: "clang++-14", ...process.env };
  if (spawnSync(env.CXX, ["--version"]).error) Object.assign(env, { CC: "cc", CXX: "c++" });
  const result = spawnSync(process.execPath, [gyp, ...args, ...nodedir], {
    cwd: here,
    env,
    stdio: "inherit",
  });
  if (result.status !== 0) {
    console.error(
      `build.mjs: node-gyp ${args.join(" ")} failed; are clang, g++, make and python3 installed?`,
    );
    process.exit(1);
  }
}

const hash = sourceHash();
if (targets.length === 0 && existsSync(stampFile) && readFileSync(stampFile, "utf8") === hash) {
  console.log("native addons are up to date");
} else {
  nodeGyp(["configure", "--loglevel=warn"]);
  nodeGyp(["build", "--loglevel=warn", ...targets]);
  if (targets.length === 0) {
    mkdirSync(dirname(stampFile), { recursive: true });
    writeFileSync(stampFile, hash);
  }
}
