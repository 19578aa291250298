import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { generate, objectsIn } from "./generate.ts";

/*
 * `npm run generate` writes events.generated.ts; with `--check` it only compares, and exits 1 when stale.
 */

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const target = path("../events.generated.ts");
const objects = path("../../../bpf/dist");

if (!existsSync(objects)) {
  console.error('generate: packages/bpf/dist is missing: run "make -C packages/bpf" first');
  process.exit(1);
}

const wanted = generate({ header: path("../../../bpf/src/event.h"), objects: objectsIn(objects) });
const present = existsSync(target) ? readFileSync(target, "utf8") : "";

if (present === wanted) {
  console.log("events.generated.ts is up to date");
} else if (process.argv.includes("--check")) {
  console.error(
    'generate: packages/native/src/events.generated.ts is stale: run "npm run generate" and commit it',
  );
  process.exit(1);
} else {
  writeFileSync(target, wanted);
  console.log("wrote packages/native/src/events.generated.ts");
}
