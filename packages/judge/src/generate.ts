/** Writes docs/rule-set.schema.json; with --check it fails where that would change it. */
import { readFileSync, writeFileSync } from "node:fs";
import { ruleSetJsonSchema } from "./json-schema.ts";

const file = new URL("../../../docs/rule-set.schema.json", import.meta.url);
const text = `${JSON.stringify(ruleSetJsonSchema(), null, 2)}\n`;

if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (readFileSync(file, "utf8") !== text) {
  console.error("docs/rule-set.schema.json is stale: run `npm run generate`");
  process.exitCode = 1;
}
