#!/usr/bin/env node
// Which way the arrows run (DESIGN §5): every import, re-export and dynamic import of the tree is held
// against the table in imports/rules.mjs. Own code, because the usual checkers see nothing of
// TypeScript 7; imports/imports.test.ts shows that it fails where it should.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { violations } from "./imports/rules.mjs";

const SOURCE = /\.(?:[cm]?[jt]s|[jt]sx)$/;
const IGNORED = new Set(["node_modules", "dist", "build", ".git", ".turbo", ".picket"]);
const ROOTS = ["packages", "services", "infra", "test"];

const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), ".."));
const files = ROOTS.flatMap(name => [...walk(name)]);
const found = files.flatMap(path => violations({ path, text: readFileSync(join(root, path), "utf8") }));
for (const { path, line, specifier, why } of found)
  console.error(`${path}:${line}: imports "${specifier}": ${why}`);
if (files.length === 0) console.error(`No source file below ${root}`);
console.log(`${files.length} files, ${found.length} imports against the rules`);
process.exitCode = found.length > 0 || files.length === 0 ? 1 : 0;

function* walk(folder) {
  if (!existsSync(join(root, folder))) return;
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && !IGNORED.has(entry.name)) yield* walk(path);
    else if (entry.isFile() && SOURCE.test(entry.name)) yield path;
  }
}
