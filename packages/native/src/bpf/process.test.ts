import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { replaceProcess } from "./index.ts";

const script = (code: string) =>
  execFileSync(
    process.execPath,
    ["--conditions=source", "--import", "tsx", "--input-type=module", "-e", code],
    {
      encoding: "utf8",
      env: { ...process.env, NODE_NO_WARNINGS: "1" },
    },
  );
const index = JSON.stringify(new URL("./index.ts", import.meta.url).href);

test("a process becomes another program: same id, its own arguments and environment", () => {
  const printed = script(`
    const { replaceProcess } = await import(${index});
    (await import("node:fs")).writeSync(1, process.pid + "\\n");
    replaceProcess("/bin/sh", ["sh", "-c", "echo $$ $WORD"], { WORD: "changed" });`);
  const [before, after] = printed.trim().split("\n");
  expect(after).toBe(`${before} changed`);
});

test("a program that is not there leaves the process as it is, with the reason", () => {
  expect(() => replaceProcess("/no/such/program", ["x"], {})).toThrow(/ENOENT|could not start/);
});
